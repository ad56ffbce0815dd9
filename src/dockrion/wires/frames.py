"""The frames of a stream, from one write to the next, with the ids to come back with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dockrion.events import sse
from dockrion.events.jsonable import encode
from dockrion.wires.base import WireRun
from dockrion.wires.cursors import mark_event, mark_pause
from dockrion.wires.texts import OpenText, frames_of


class Frames:
    """What is said up to `told` is of the event with the number `sequence`, which is to be set where a batch begins."""

    __slots__ = ("_cursor", "_first", "_frames", "sequence")

    def __init__(self, run: WireRun) -> None:
        self._cursor = f"{run.run_id}:%d".encode() if run.cursors else None
        self._frames: list[bytes] = []
        # Where the frames of the event begin.
        self._first = 0
        self.sequence = 0

    def say(self, fields: dict[str, Any]) -> None:
        self._frames.append(sse.frame(encode(fields)))

    def add(self, frame: bytes) -> None:
        self._frames.append(frame)

    def told(self) -> None:
        """All of the event has been said."""
        mark_event(self._frames, self._first, self._cursor, self.sequence)
        self._first = len(self._frames)
        self.sequence += 1

    def text(self, text_id: str, delta: dict[str, Any]) -> OpenText:
        """Open a text for `go_on`; `delta` as in `OpenText.of`."""
        return OpenText.of(text_id, delta, self._cursor)

    def go_on(self, text: OpenText, pieces: Sequence[str]) -> None:
        """Say events in a row, each of which is a piece of the text: by far the most."""
        first = None if self._cursor is None else self.sequence
        self._frames.append(frames_of(text.frame, pieces, first))
        self._first = len(self._frames)
        self.sequence += len(pieces)

    def paused(self) -> bytes:
        """Return what was said after the last event of a run that waits."""
        mark_pause(self._frames, self._cursor, self.sequence - 1)
        return self.taken()

    def taken(self) -> bytes:
        body = b"".join(self._frames)
        self._frames.clear()
        self._first = 0
        return body
