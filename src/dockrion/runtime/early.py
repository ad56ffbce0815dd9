"""Sending early: in the step that brought it, not in that of the writer who waits for it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Self

from dockrion.runtime.asgi import Send
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.websocket.line import RunSender


class EarlySend:
    """Sends for a writer while that waits for something to send, in the step of whoever has brought it.

    That saves a switch of tasks for each paced token, and its delay where hundreds of agents come due in one turn
    of the loop: all would emit first, and all writers write after them. The writer has to `finish` what did not end
    at once, before it sends more.
    """

    __slots__ = ("_failure", "_send", "_stream", "_unfinished")

    def __init__(self, stream: OpenStream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._unfinished: _Unfinished | None = None
        self._failure: BaseException | None = None

    @classmethod
    def through(cls, stream: OpenStream, send: Send) -> Self | None:
        """Return None where `send` may belong to the task that calls it."""
        return cls(stream, send) if _is_servers_own(send) else None

    @property
    def is_unfinished(self) -> bool:
        return self._unfinished is not None or self._failure is not None

    def now(self, body: bytes) -> bool:
        """Send without waiting; false when the writer has to go on with it."""
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
        return False

    def fail(self, exc: Exception) -> None:
        """Let `finish` raise what went wrong in a step that is not the writer's."""
        self._failure = exc

    async def finish(self) -> None:
        """Go on with the send that `now` began."""
        if self._failure is not None:
            raise self._failure
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            await unfinished
            self._stream.sent()


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
    middleware wraps around it may hold on to the task that runs it.
    """
    owner = getattr(send, "__self__", None)
    if isinstance(owner, RunSender):
        return owner.is_servers_own
    return type(owner).__name__ in ("RequestResponseCycle", "CloseDelimitedCycle")
