"""The WebSocket protocol of the server process: what a connection becomes that `runtime/protocol.py` hands over.

Frames are read by `websockets`, a piece at a time, so that a flood of small ones does not hold up the loop; they are
written whole, many messages at once. Nothing is compressed: what comes in is as large as it says.

What the application sees is ASGI, and three things more. `scope["extensions"]` has `dockrion.transport`, as requests have it;
`dockrion.websocket` says that it may send `{"type": "dockrion.websocket.send", "messages": [...]}`, text messages as bytes that leave
with one write; its `limit` bounds the messages that come in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from uvicorn.protocols.utils import ClientDisconnected
from websockets.frames import CloseCode
from websockets.protocol import OPEN, SERVER, Protocol

from dockrion.errors import DockrionError, ShuttingDownError
from dockrion.runtime.asgi import Message
from dockrion.runtime.requests import new_request_id
from dockrion.runtime.responses import raw_error
from dockrion.runtime.transport import AnswerTransport, SlowReaders
from dockrion.runtime.websocket.frames import FrameEnds, text_frames
from dockrion.runtime.websocket.handshake import refusing, switching
from dockrion.runtime.websocket.incoming import Incoming
from dockrion.runtime.websocket.liveness import Liveness

logger = logging.getLogger(__name__)
# What callers do wrong is for them to hear of.
_quiet: Final = logging.getLogger(f"{__name__}.frames")
_quiet.setLevel(logging.CRITICAL)

# Frames of so many bytes are read in one turn of the loop.
SLICE_BYTES: Final = 16 << 10
# For the other side to answer a close.
CLOSE_SECONDS: Final = 2.0
DEFAULT_MESSAGE_BYTES: Final = 1 << 20
EXTENSION: Final = "dockrion.websocket"


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A connection at the point where it stops to be HTTP: its request, and what it belongs to.

    `rest` are the bytes that have come after the head. `write_seconds` is for a caller who takes nothing, every `ping_seconds`
    one that is quiet gets a ping: proxies take silence for the end.
    """

    app: Callable[[Any, Any, Any], Awaitable[None]]
    loop: asyncio.AbstractEventLoop
    transport: AnswerTransport
    scope: MutableMapping[str, Any]
    accept: bytes
    rest: bytes
    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: list[tuple[bytes, bytes]]
    write_seconds: float
    ping_seconds: float


class WebSocketProtocol(asyncio.Protocol):
    """One connection; `begin` once the transport has it."""

    def __init__(self, opening: Opening) -> None:
        self.transport: Final = opening.transport
        self._opening = opening
        self._loop = opening.loop
        self._frames = Protocol(SERVER, max_size=DEFAULT_MESSAGE_BYTES, logger=_quiet)
        self._incoming = Incoming(self._frames)
        self._flow = SlowReaders(opening.transport)
        # Bytes that have not been looked at: nothing is before the handshake is answered.
        self._unread = opening.rest
        # The first message is read alone, for as long as the application looks at it: what it says may let others be larger.
        self._first: FrameEnds | None = FrameEnds()
        self._going_on = False
        self._is_paused = False
        self._accepted = False
        # Whether nothing that comes in is read any more, and whether there is a connection left to write to.
        self._is_over = False
        self._is_lost = False
        self._refusal: Message | None = None
        self._first_is_out = False
        self._inbox: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._has_left = False
        self._pong: bytes | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._caller = Liveness(opening.write_seconds)

    def begin(self) -> None:
        opening = self._opening
        opening.connections.add(self)
        self._pause_reading()
        scope = opening.scope
        scope["extensions"] = {
            "websocket.http.response": {},
            "dockrion.transport": self.transport,
            EXTENSION: {"limit": self._limit},
        }
        self._inbox.append({"type": "websocket.connect"})
        task = self._loop.create_task(self._run(opening.app, scope))
        opening.tasks.add(task)
        task.add_done_callback(opening.tasks.discard)

    def _limit(self, message_bytes: int) -> None:
        self._frames.max_message_size = message_bytes

    # The connection

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_over = self._is_lost = True
        for timer in (self._close_timer, self._clock):
            if timer is not None:
                timer.cancel()
        self._opening.connections.discard(self)
        self._flow.resume_writing()
        self._left(CloseCode.ABNORMAL_CLOSURE, "")

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._write(pong)

    def shutdown(self) -> None:
        """The server ends: say so, and close."""
        if not self._accepted:
            if self._refusal is None:
                error = ShuttingDownError("The server is shutting down.")
                self.transport.write(raw_error(error, new_request_id()))
            self._end(waits=False)
        elif self._frames.state is OPEN:
            self._send_close(CloseCode.GOING_AWAY, "")

    def abort(self) -> None:
        """Drop the connection, with what has not left."""
        if not self._is_lost:
            self.transport.abort()

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._caller.heard()
        # Paused transports may still give what they had read.
        self._unread = self._unread + data if self._unread else data
        if self._accepted and not self._going_on:
            self._look()

    def _look(self) -> None:
        """Read a slice of what is there, and go on when the loop and the application have had their turn."""
        self._going_on = False
        if self._is_over or not self._accepted:
            return
        if self._unread and not self._is_full:
            self._read_some()
        if self._is_over:
            self._unread = b""
        elif self._is_full:
            self._pause_reading()
        elif self._unread:
            self._pause_reading()
            self._going_on = True
            self._loop.call_soon(self._look)
        elif self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()

    def _read_some(self) -> None:
        left = SLICE_BYTES
        while left > 0 and self._unread and not (self._is_full or self._is_over):
            data = self._unread
            size = left if self._first is None else min(left, self._first.take(data[:left]))
            self._unread = data[size:]
            self._take(data[:size])
            left -= size
        self._answer_frames()

    @property
    def _is_full(self) -> bool:
        """Whether the application has to take what is there before more is read."""
        return bool(self._inbox) and not self._has_left

    def _pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _take(self, data: bytes) -> None:
        for text in self._incoming.read(data):
            self._inbox.append({"type": "websocket.receive", "text": text})
            self._wake()
        closed = self._frames.close_rcvd
        if self._incoming.has_failed:
            self._is_over = True
        elif closed is not None:
            self._left(closed.code, closed.reason)

    def _answer_frames(self) -> None:
        """Send what the reader of frames has to say by itself: pongs, and closes."""
        writes = self._frames.data_to_send()
        if not writes:
            return
        ends = writes[-1] == b""
        if ends or not self._flow.write_paused:
            self._write(b"".join(writes))
        else:
            # Of a caller who does not read only the latest ping is answered (RFC 6455, section 5.5.3).
            self._pong = writes[-1]
        if ends:
            # The end of what we say: after the other's close, or after a frame that cannot be read.
            sent = self._frames.close_sent
            failed = self._is_over or self._frames.parser_exc is not None
            if sent is not None:
                self._left(sent.code, sent.reason)
            self._end(waits=failed)

    # Ending

    def _send_close(self, code: int, reason: str) -> None:
        if self._is_lost:
            return
        self._frames.send_close(code, reason)
        self._write(b"".join(self._frames.data_to_send()))
        self._close_timer = self._loop.call_later(CLOSE_SECONDS, self._end)
        self._left(code, reason)
        # The answer to it.
        self._read_on()

    def _end(self, *, waits: bool = False) -> None:
        """Let the connection go once the rest of ours has left; `waits` for one who still sends to read why."""
        self._is_over = True
        self._unread = b""
        if self._is_lost:
            return
        if self._close_timer is not None:
            self._close_timer.cancel()
        self._close_timer = self._loop.call_later(self._opening.write_seconds, self.abort)
        self.transport.body_is_open = waits
        self.transport.close()

    def _left(self, code: int, reason: str) -> None:
        """Tell the application, once, that nothing more comes."""
        if not self._has_left:
            self._has_left = True
            self._inbox.append({"type": "websocket.disconnect", "code": code, "reason": reason})
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _tick(self) -> None:
        """Ask a quiet caller for a sign of life, and drop one who has taken nothing for too long."""
        unsent: int = self.transport.unsent()
        if self._caller.is_gone(self._loop.time(), unsent=unsent):
            self.abort()
            return
        if self._frames.state is OPEN and not unsent:
            self._frames.send_ping(b"")
            self._answer_frames()
        self._clock = self._loop.call_later(self._period, self._tick)

    @property
    def _period(self) -> float:
        return min(self._opening.ping_seconds, self._opening.write_seconds / 2)

    # The application's side

    async def _run(self, app: Callable[[Any, Any, Any], Awaitable[None]], scope: Any) -> None:
        try:
            await app(scope, self._receive, self.send)
        except ClientDisconnected:
            pass
        except asyncio.CancelledError:
            raise
        except BaseException:  # of middleware too
            logger.exception("a WebSocket's application raised")
            if self._accepted and self._frames.state is OPEN:
                self._send_close(CloseCode.INTERNAL_ERROR, "")
        if self._accepted:
            if self._frames.state is OPEN:
                self._send_close(CloseCode.NORMAL_CLOSURE, "")
        elif self._refusal is None and not self.transport.is_closing():
            self._write(raw_error(DockrionError("Internal error."), new_request_id()))
            self._end(waits=True)

    async def _receive(self) -> Message:
        if self._first_is_out:
            self._first, self._first_is_out = None, False
            self._read_on()
        while not self._inbox:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._inbox.popleft()
        if self._first is not None and message["type"] == "websocket.receive":
            self._first_is_out = True
        else:
            self._read_on()
        return message

    def _read_on(self) -> None:
        if self._accepted and not (self._going_on or self._is_full or self._is_over):
            self._going_on = True
            self._loop.call_soon(self._look)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "dockrion.websocket.send":
            await self._send_texts(message["messages"])
        elif kind == "websocket.send":
            text = message.get("text")
            if text is None:
                raise RuntimeError("this server sends text messages alone")
            await self._send_texts([text.encode()])
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            if not self._accepted:
                self._refuse(HTTPStatus.FORBIDDEN, [], b"")
            elif self._frames.state is OPEN:
                self._send_close(message.get("code", 1000), message.get("reason") or "")
        elif kind == "websocket.http.response.start":
            self._refusal = message
        elif kind == "websocket.http.response.body":
            start = self._refusal
            if start is None or message.get("more_body"):
                raise RuntimeError("a refusal has one head and one body")
            self._refuse(start["status"], start.get("headers", []), message.get("body", b""))
        else:
            raise RuntimeError(f"{kind} is no message of a WebSocket")

    async def _send_texts(self, messages: list[bytes]) -> None:
        flow = self._flow
        while flow.write_paused:
            await flow.drain()
        if self._is_lost or self._frames.state is not OPEN or self.transport.is_closing():
            raise ClientDisconnected
        self._write(text_frames(messages))

    def _write(self, data: bytes) -> None:
        if not data or self._is_lost:
            return
        self._caller.wrote(len(data))
        self.transport.write(data)

    def _accept(self, message: Message) -> None:
        if self._accepted or self._refusal is not None:
            raise RuntimeError("the handshake has been answered already")
        if self.transport.is_closing():
            raise ClientDisconnected
        opening = self._opening
        headers = [*opening.default_headers, *message.get("headers", ())]
        self._write(switching(opening.accept, headers))
        self._accepted = True
        self._caller.begin(self._loop.time())
        self._clock = self._loop.call_later(self._period, self._tick)
        self._read_on()

    def _refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if self._accepted:
            raise RuntimeError("the handshake has been answered already")
        self._refusal = self._refusal or {}
        self._write(refusing(status, [*self._opening.default_headers, *headers], body))
        self._left(CloseCode.ABNORMAL_CLOSURE, "")
        self._end(waits=True)
