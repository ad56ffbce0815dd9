"""What leaves on one connection: whole messages, of many runs in turn."""

from __future__ import annotations

import asyncio

from dockrion.runtime.asgi import Message, Send
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.websocket.frames import messages_of, says_anything


class Line:
    """Writes for one at a time, in the order in which they came: a run that says much waits like all others.

    `joins`: the server takes many messages at once (`websocket/protocol.py`).
    """

    __slots__ = ("_dropped", "_joins", "_send", "is_servers_own", "turn")

    def __init__(self, send: Send, *, joins: bool) -> None:
        self._send = send
        self._joins = joins
        self._dropped = False
        # Whether nothing is around it that may belong to a task.
        owner = getattr(send, "__self__", None)
        self.is_servers_own = joins and type(owner).__name__ == "WebSocketProtocol"
        self.turn = asyncio.Lock()

    async def say(self, message: bytes) -> None:
        async with self.turn:
            await self.write([message])

    async def write(self, messages: list[bytes]) -> None:
        """Write messages; whoever calls has the turn. Raises `OSError` when the caller has gone."""
        if self._dropped:
            raise BrokenPipeError
        if self._joins:
            await self._send({"type": "dockrion.websocket.send", "messages": messages})
            return
        for message in messages:
            await self._send({"type": "websocket.send", "text": message.decode()})

    def drop(self) -> None:
        """Let nothing leave any more: the caller does not take it."""
        self._dropped = True

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
