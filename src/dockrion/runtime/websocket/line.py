"""What leaves on one connection: whole messages, of many runs in turn."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import TypeAlias

from dockrion.runtime.asgi import Message, Send
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.websocket.frames import messages_of, says_anything

_Waiters: TypeAlias = deque[asyncio.Future[None]]


class Turn:
    """One writes at a time; the next is who waits longest in the first place where somebody waits."""

    __slots__ = ("_is_taken", "_places")

    def __init__(self) -> None:
        self._is_taken = False
        self._places: list[_Waiters] = []

    def place(self) -> Place:
        """Return a place behind those that there are."""
        waiters: _Waiters = deque()
        self._places.append(waiters)
        return Place(self, waiters)

    async def take(self, waiters: _Waiters) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        waiter = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        try:
            await waiter
        except BaseException:  # a coroutine that is closed, too
            if waiter.done() and not waiter.cancelled():
                self.give()
            waiter.cancel()
            raise

    def give(self) -> None:
        """Hand it to the next."""
        for waiters in self._places:
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._is_taken = False


class Place:
    """`async with` it: the turn is had inside."""

    __slots__ = ("_turn", "_waiters")

    def __init__(self, turn: Turn, waiters: _Waiters) -> None:
        self._turn = turn
        self._waiters = waiters

    async def __aenter__(self) -> None:
        await self._turn.take(self._waiters)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._turn.give()


class Line:
    """Writes for one at a time, in the order in which they came: a run that says much waits like all others. What is said
    of the connection does not wait for the runs that do.

    `joins`: the server takes many messages at once (`websocket/protocol.py`).
    """

    __slots__ = ("_first", "_joins", "_send", "is_dropped", "is_servers_own", "turn")

    def __init__(self, send: Send, *, joins: bool) -> None:
        self._send = send
        self._joins = joins
        # Whether nothing leaves any more: the caller has gone, or does not take it.
        self.is_dropped = False
        # Whether nothing is around it that may belong to a task.
        owner = getattr(send, "__self__", None)
        self.is_servers_own = joins and type(owner).__name__ == "WebSocketProtocol"
        turn = Turn()
        self._first = turn.place()
        self.turn = turn.place()

    async def say(self, message: bytes) -> None:
        async with self._first:
            await self.write([message])

    async def write(self, messages: list[bytes]) -> None:
        """Write messages; whoever calls has the turn. Raises `OSError` when the caller has gone."""
        if self.is_dropped:
            raise BrokenPipeError
        try:
            if self._joins:
                await self._send({"type": "dockrion.websocket.send", "messages": messages})
                return
            for message in messages:
                await self._send({"type": "websocket.send", "text": message.decode()})
        except OSError:
            self.is_dropped = True
            raise

    def drop(self) -> None:
        """Let nothing leave any more: the caller does not take it."""
        self.is_dropped = True

    async def close(self, code: int, reason: str = "") -> None:
        async with self.turn:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


class RunSender:
    """Where the stream of one run is sent to: what a request would get as its body leaves as messages.

    Only who has the turn counts as sending, so that a caller is not given up for the length of a queue.
    """

    __slots__ = ("_line", "_stream", "is_servers_own")

    def __init__(self, line: Line, stream: OpenStream) -> None:
        self._line = line
        self._stream = stream
        self.is_servers_own = line.is_servers_own

    async def send(self, message: Message) -> None:
        body: bytes = message["body"]
        if not says_anything(body):
            return
        line, stream = self._line, self._stream
        stream.sent()
        async with line.turn:
            stream.sending()
            # Not before: all that wait would have theirs twice.
            await line.write(messages_of(body))
