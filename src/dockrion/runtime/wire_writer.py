"""Writing a kept run in the words of a protocol: frames that are kept are events again, and then what the wire makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from dockrion.errors import DockrionError, error_for
from dockrion.events import sse
from dockrion.events.decoding import batches_of
from dockrion.events.model import Batch, Failed, Interrupted
from dockrion.runs.kept import Piece
from dockrion.runs.reader import FORGOTTEN, Gap, Reader
from dockrion.wires.base import AskingWire, BreakableWire, ReturningWire, Wire

_HANDED_OVER: Final = Failed("The server is shutting down; come back.", "SHUTTING_DOWN")


class Retold:
    """Feeds a wire with what a reader reads, from the beginning of the run. Only what comes after the first `seen`
    events is for the caller; of the next, and of what ends a stream whose run waits, what comes after the frame with the id
    `last`.
    """

    def __init__(
        self,
        reader: Reader,
        wire: Wire,
        *,
        seen: int,
        last: bytes | None = None,
        timestamps: Callable[[], str],
    ) -> None:
        self._reader = reader
        self._wire = wire
        self._seen = seen
        self._last_id = last
        self._timestamps = timestamps
        self.broken = False
        # Why the stream ends while its run may go on.
        self.failure: DockrionError | None = None

    @property
    def is_over(self) -> bool:
        return self._reader.ended or self.broken

    def frames(self, read: Piece | Gap | None) -> bytes:
        reader = self._reader
        if isinstance(read, Gap):
            self.broken = True
            lost = f"The events {read.first} to {read.last} of the run are kept no more."
            return self._last(Failed(lost, "GONE"))
        body = b""
        wire, outcome = self._wire, reader.outcome
        # Which kind of wire it is is asked last: that costs as much as a token.
        if isinstance(outcome, Interrupted) and outcome.interrupts and isinstance(wire, AskingWire):
            wire.stay_open(tuple(outcome.interrupts))
        if isinstance(read, Piece):
            body = b"".join(self._encoded(read))
        elif reader.heartbeat_due and not reader.ended:
            reader.heartbeat_due = False
            reader.beat()
            body = self._wire.heartbeat()
        if reader.ended:
            body += self._ending()
        return body

    def _encoded(self, piece: Piece) -> Iterator[bytes]:
        if piece.batch is not None and piece.first >= self._seen + (self._last_id is not None):
            # The way of all that is told while it happens.
            yield self._wire.encode(piece.batch)
            return
        for batch in batches_of(piece.body, first=piece.first, end=piece.end):
            known = max(0, self._seen - batch.first)
            if known:
                self._wire.encode(Batch(batch.events[:known], batch.first, batch.timestamp))
            rest, first = batch.events[known:], batch.first + known
            if rest and first == self._seen and self._last_id is not None:
                yield self._behind(self._wire.encode(Batch(rest[:1], first, batch.timestamp)))
                rest, first = rest[1:], first + 1
            if rest:
                yield self._wire.encode(Batch(rest, first, batch.timestamp))

    def _behind(self, body: bytes) -> bytes:
        """Return what the caller has not had of it."""
        return body if self._last_id is None else sse.after(body, self._last_id)

    def _ending(self) -> bytes:
        outcome = self._reader.outcome
        if isinstance(outcome, Interrupted):
            return self._behind(self._wire.paused())
        if outcome is FORGOTTEN:
            return self._last(FORGOTTEN)
        if outcome is not None:
            return b""
        # The run goes on elsewhere: only who comes back may be left in silence, which is no end to it.
        if isinstance(self._wire, ReturningWire):
            return self._wire.handed_over(_HANDED_OVER)
        return self._last(_HANDED_OVER)

    def _last(self, failure: Failed) -> bytes:
        self.failure = error_for(failure.code, failure.error)
        return self.last_word(failure, self._timestamps())

    def last_word(self, failure: Failed, timestamp: str) -> bytes:
        if isinstance(self._wire, BreakableWire):
            return self._wire.broken(error_for(failure.code, failure.error))
        body = self._wire.encode(Batch([failure], self._reader.position, timestamp))
        # It is none of the run's events: who comes back with its id would miss the one that is.
        return sse.without_ids(body)
