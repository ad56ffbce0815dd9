"""Writing a run's events to its caller: batch by batch, one send each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, Final

from dockrion.events.model import Batch, Failed, Interrupt
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.kept import Piece
from dockrion.runs.reader import FORGOTTEN, Gap, Reader
from dockrion.runs.run import Run
from dockrion.runtime.asgi import Send
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.websocket.line import RunSender
from dockrion.wires.base import Wire
from dockrion.wires.native import NativeWire

UNKEPT: Final = Failed(
    "The run waits for an answer and cannot be kept for it.", "SERVICE_UNAVAILABLE"
)


class StreamWriter:
    """The one reader of a run, in its request's task.

    While it waits for events and the agent's code comes to a wait of its own, `flush` sends in the agent's step
    what that code has emitted. That saves a switch of tasks for each paced token, and its delay where hundreds
    of agents come due in one turn of the loop: all would emit first, and all readers write after them.
    """

    __slots__ = ("_failure", "_keep", "_run", "_send", "_stream", "_unfinished", "_wire", "is_kept")

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
        self._unfinished: _Unfinished | None = None
        self._failure: BaseException | None = None
        # Whether somebody else reads the run from here on, and its caller may go.
        self.is_kept = False
        if run.takes_now and _is_servers_own(send):
            run.outbox.flush = self.flush

    async def write(self) -> None:
        """Send until the last event is out, or the caller gone."""
        run, stream = self._run, self._stream
        try:
            while True:
                batch = await run.next()
                if self._unfinished is not None or self._failure is not None:
                    await self._finish()
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
                del batch, body
        finally:
            run.outbox.flush = None

    def flush(self) -> bool:
        """Send what is there without waiting; false when the reader has to go on with it."""
        if self._unfinished is not None or self._failure is not None:
            return False
        batch = self._run.take()
        if batch is None:
            return True
        body = self._wire.encode(batch)
        if not body:
            return True
        self._stream.sending()
        sending: Any = self._send({"type": "http.response.body", "body": body, "more_body": True})
        try:
            waits_for = sending.send(None)
        except StopIteration:
            self._stream.sent()
            return True
        except Exception as exc:
            self._failure = exc
        else:
            self._unfinished = _Unfinished(sending, waits_for)
        self._run.outbox.nudge()
        return False

    async def _finish(self) -> None:
        """Go on with the send that `flush` began."""
        if self._failure is not None:
            raise self._failure
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            await unfinished
            self._stream.sent()


def _unkept(batch: Batch) -> Batch:
    """Let a batch end with an error instead of questions that nobody can answer."""
    events = [event for event in batch.events if not isinstance(event, Interrupt)]
    return Batch([*events, UNKEPT], batch.first, batch.timestamp)


class HeldWriter:
    """Writes what a reader of a kept run reads, in its request's task. `opening` goes into the first event."""

    __slots__ = ("_opening", "_reader", "_send", "_stream", "_timed_out", "_wire")

    def __init__(
        self,
        reader: Reader,
        wire: NativeWire,
        stream: OpenStream,
        send: Send,
        *,
        opening: bytes = b"",
    ) -> None:
        self._reader = reader
        self._wire = wire
        self._stream = stream
        self._send = send
        self._opening = opening
        self._timed_out = False

    def time_out(self) -> None:
        """Let the stream end, with a `timeout` event, after what is being sent."""
        self._timed_out = True
        self._reader.nudge()

    async def write(self) -> None:
        """Send until the last event is out, the time over, or the caller gone."""
        reader, stream = self._reader, self._stream
        more = True
        while more:
            read = await reader.next()
            if reader.gone:
                return
            body = self._frames(read)
            more = not (reader.ended or self._timed_out)
            if not body and more:
                continue
            stream.sending()
            await self._send({"type": "http.response.body", "body": body, "more_body": more})
            stream.sent()
            # What was sent must not live on while the stream is silent.
            del read, body

    def _frames(self, read: Piece | Gap | None) -> bytes:
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


class _Unfinished:
    """A coroutine that waits for a future; awaiting this goes on with it, in another task."""

    def __init__(self, coro: Any, waits_for: Any) -> None:
        self._coro = coro
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        try:
            yield self._waits_for
        except BaseException as exc:
            self._coro.throw(exc)
            return
        yield from self._coro.__await__()


def _is_servers_own(send: Send) -> bool:
    """Whether `send` is uvicorn's, or that of a run on one of our WebSockets, with nothing around it.

    Its coroutine belongs to no task: it either ends at once or waits for events of the connection. What a
    middleware wraps around it may hold on to the task that runs it, so then `flush` stays off.
    """
    owner = getattr(send, "__self__", None)
    if isinstance(owner, RunSender):
        return owner.is_servers_own
    return type(owner).__name__ in ("RequestResponseCycle", "CloseDelimitedCycle")
