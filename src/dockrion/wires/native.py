"""dockrion's own protocol: Server-Sent Events, one for each event of the run."""

from __future__ import annotations

from collections.abc import Callable

from dockrion.events import sse
from dockrion.events.model import Batch, Failed


class NativeWire:
    """`timestamps` gives the time of a heartbeat; with `heartbeat_events` off, heartbeats are comments."""

    __slots__ = ("_heartbeat_events", "_run_id", "_timestamps")

    content_type: bytes = b"text/event-stream"

    def __init__(
        self, run_id: str, *, heartbeat_events: bool, timestamps: Callable[[], str]
    ) -> None:
        self._run_id = run_id
        self._heartbeat_events = heartbeat_events
        self._timestamps = timestamps

    def encode(self, batch: Batch) -> bytes:
        return sse.frames(self._run_id, batch)

    def heartbeat(self) -> bytes:
        if self._heartbeat_events:
            return sse.heartbeat(self._run_id, self._timestamps())
        return sse.COMMENT_HEARTBEAT

    def paused(self) -> bytes:
        # The questions are events, and say it.
        return b""

    def timeout(self) -> bytes:
        return sse.timeout(self._run_id, self._timestamps())

    def failed(self, failure: Failed, sequence: int) -> bytes:
        """End a stream whose run has no last event of its own any more."""
        return sse.frames(self._run_id, Batch([failure], sequence, self._timestamps()))

    def gap(self, *, first: int, last: int) -> bytes:
        """Say that the events `first` to `last` are kept no more."""
        return sse.gap(self._run_id, self._timestamps(), first=first, last=last)
