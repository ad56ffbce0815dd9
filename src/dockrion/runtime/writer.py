"""Writing a run's events to its caller: batch by batch, one send each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol

from dockrion.events import sse
from dockrion.events.model import Batch, Failed, Interrupt
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.kept import Piece
from dockrion.runs.reader import FORGOTTEN, Gap, Reader
from dockrion.runs.run import Run
from dockrion.runtime.asgi import Send
from dockrion.runtime.early import EarlySend
from dockrion.runtime.streams import OpenStream
from dockrion.wires.base import Wire
from dockrion.wires.native import NativeWire

UNKEPT: Final = Failed(
    "The run waits for an answer and cannot be kept for it.", "SERVICE_UNAVAILABLE"
)


class StreamWriter:
    """The one reader of a run, in its request's task.

    While it waits for events and the agent's code comes to a wait of its own, what that code has emitted is sent in
    the agent's step.
    """

    __slots__ = ("_early", "_keep", "_run", "_send", "_stream", "_unwritten", "_wire", "is_kept")

    def __init__(
        self,
        run: Run,
        wire: Wire,
        stream: OpenStream,
        send: Send,
        *,
        keep: Callable[[Run, Batch], Awaitable[bool]] | None = None,
    ) -> None:
        """`keep` gets the batch with which a run begins to wait for answers, before it is sent; false: it cannot."""
        self._keep = keep
        self._run = run
        self._wire = wire
        self._stream = stream
        self._send = send
        # Whether somebody else reads the run from here on, and its caller may go.
        self.is_kept = False
        # The first event of a batch that could not be written.
        self._unwritten: int | None = None
        self._early = EarlySend.through(stream, send) if run.takes_now else None
        if self._early is not None:
            run.outbox.flush = partial(self._flush, self._early)

    async def write(self) -> None:
        """Send until the last event is out, or the caller gone."""
        run, stream, early = self._run, self._stream, self._early
        batch: Batch | None = None
        try:
            while True:
                batch = await run.next()
                if early is not None and early.is_unfinished:
                    await early.finish()
                if batch is None:
                    if not run.outbox.heartbeat_due:
                        continue
                    run.outbox.heartbeat_due = False
                    run.beat()
                    body, last = self._wire.heartbeat(), False
                else:
                    last = batch.is_last
                    if last and batch.events[-1] is CALLER_LEFT:
                        return
                    if last and self._keep is not None and isinstance(batch.events[-1], Interrupt):
                        # What comes after the questions is not this caller's.
                        run.outbox.flush = None
                        self.is_kept = await self._keep(run, batch)
                        if not self.is_kept:
                            batch = _unkept(batch)
                    body = self._wire.encode(batch)
                    if last and isinstance(batch.events[-1], Interrupt):
                        body += self._wire.paused()
                    elif not body and not last:
                        # A protocol does not show everything.
                        continue
                stream.sending()
                await self._send(
                    {"type": "http.response.body", "body": body, "more_body": not last}
                )
                stream.sent()
                if last:
                    return
                # What was sent must not live on while the stream is silent.
                batch = None
                del body
        except Exception:
            if batch is not None:
                self._unwritten = batch.first
            raise
        finally:
            run.outbox.flush = None

    async def break_off(self, failure: Failed, timestamp: str) -> None:
        """Send the event that the run ends with, numbered as if what could not be written had never been."""
        at = self._run.position if self._unwritten is None else self._unwritten
        body = self._wire.encode(Batch([failure], at, timestamp))
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _flush(self, early: EarlySend) -> bool:
        """Send what is there without waiting; false when the reader has to go on with it."""
        if early.is_unfinished:
            return False
        batch = self._run.take()
        if batch is None:
            return True
        try:
            body = self._wire.encode(batch)
        except Exception as exc:
            # No fault of the agent, whose step it is.
            self._unwritten = batch.first
            early.fail(exc)
        else:
            if not body or early.now(body):
                return True
        self._run.outbox.nudge()
        return False


def _unkept(batch: Batch) -> Batch:
    """Let a batch end with an error instead of questions that nobody can answer."""
    events = [event for event in batch.events if not isinstance(event, Interrupt)]
    return Batch([*events, UNKEPT], batch.first, batch.timestamp)


class Telling(Protocol):
    """What is told of a kept run, in the words of a protocol."""

    def frames(self, read: Piece | Gap | None) -> bytes:
        """Return what is sent of something that was read, or when the reader was nudged or has ended."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether nothing comes after what `frames` has returned."""
        ...

    def last_word(self, failure: Failed, timestamp: str) -> bytes:
        """Return what ends a stream that cannot go on, while its run may. It is none of the run's events: nobody comes
        back with its id and misses the one that is.
        """
        ...


class HeldWriter:
    """Writes what is told of a kept run, in its request's task, or in the step of whoever brings it."""

    __slots__ = ("_early", "_reader", "_send", "_stream", "_told")

    is_kept = False

    def __init__(self, reader: Reader, told: Telling, stream: OpenStream, send: Send) -> None:
        self._reader = reader
        self._told = told
        self._stream = stream
        self._send = send
        self._early = EarlySend.through(stream, send)
        if self._early is not None:
            reader.flush = partial(self._flush, self._early)

    async def write(self) -> None:
        """Send until the last event is out, the time over, or the caller gone."""
        reader, stream, told, early = self._reader, self._stream, self._told, self._early
        more = True
        try:
            while more:
                read = await reader.next()
                if early is not None and early.is_unfinished:
                    await early.finish()
                if reader.gone:
                    return
                body = told.frames(read)
                more = not told.is_over
                if not body and more:
                    continue
                stream.sending()
                await self._send({"type": "http.response.body", "body": body, "more_body": more})
                stream.sent()
                # What was sent must not live on while the stream is silent.
                del read, body
        finally:
            reader.flush = None

    async def break_off(self, failure: Failed, timestamp: str) -> None:
        body = self._told.last_word(failure, timestamp)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _flush(self, early: EarlySend, fresh: Piece | None) -> bool:
        """Send what is there without waiting; false when the reader has to look for itself."""
        reader = self._reader
        piece = reader.take(fresh)
        if piece is None:
            return False
        try:
            body = self._told.frames(piece)
        except Exception as exc:
            # No fault of whoever brought it, whose step it is.
            early.fail(exc)
        else:
            if not body or early.now(body):
                return reader.has_caught_up
        reader.nudge()
        return False


class NativeTelling:
    """Tells the events as they are kept. `opening` goes into the first one."""

    __slots__ = ("_opening", "_reader", "_timed_out", "_wire")

    def __init__(self, reader: Reader, wire: NativeWire, *, opening: bytes = b"") -> None:
        self._reader = reader
        self._wire = wire
        self._opening = opening
        self._timed_out = False

    def time_out(self) -> None:
        """Let the stream end, with a `timeout` event, after what is being sent."""
        self._timed_out = True
        self._reader.nudge()

    @property
    def is_over(self) -> bool:
        return self._reader.ended or self._timed_out

    def last_word(self, failure: Failed, timestamp: str) -> bytes:
        event = Batch([failure], self._reader.position, timestamp)
        return sse.without_ids(self._wire.encode(event))

    def frames(self, read: Piece | Gap | None) -> bytes:
        reader, body = self._reader, b""
        if isinstance(read, Piece):
            body, self._opening = self._opening + read.body, b""
        elif isinstance(read, Gap):
            body = self._wire.gap(first=read.first, last=read.last)
        elif reader.heartbeat_due and not reader.ended:
            reader.heartbeat_due = False
            reader.beat()
            body = self._wire.heartbeat()
        if self._timed_out and not reader.ended:
            body += self._wire.timeout()
        if reader.outcome is FORGOTTEN and reader.stops_at_questions:
            # A subscription just ends, and its caller is told when it comes back; a direct stream never without a word.
            body += self._wire.failed(FORGOTTEN, reader.position)
        return body
