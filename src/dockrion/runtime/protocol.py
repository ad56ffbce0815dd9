"""The HTTP protocol of the server process: uvicorn's, with fewer writes, and HTTP/1.0 callers served right.

uvicorn writes the head of an answer by itself, a system call of its own; here it leaves with what follows it in
the same turn of the loop.

uvicorn sends a body of unknown length in chunks, whatever version the caller speaks. HTTP/1.0 has no chunks
(RFC 9112, section 6.1: a server must not send them to such a caller), so there the end of the connection has
to be the end of the body.

The application also learns what ASGI does not tell: how much of what it sent has not left, and how to drop
a connection whose caller takes nothing.
"""

from __future__ import annotations

import asyncio
import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent

# Of the connection, not of the answer: on HTTP/1.0 the server alone says them.
_CONNECTION_HEADERS = (b"connection", b"keep-alive", b"transfer-encoding")


_OFFER_OF_HTTP2 = re.compile(rb"(?i)\r\n(?:upgrade|http2-settings):[^\r\n]*")


class ServerProtocol(HttpToolsProtocol):
    """`HttpToolsProtocol` that answers HTTP/1.0 requests with a body that ends where the connection does.

    `scope["extensions"]` has `dockrion.unsent() -> int`, the bytes that wait for the caller to take them, and
    `dockrion.abort()`, which closes the connection without them.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        joining = HeadJoiningTransport(transport, self.loop)
        super().connection_made(cast("asyncio.Transport", joining))
        self._extensions: dict[str, Any] = {
            "dockrion.unsent": partial(_unsent, transport),
            "dockrion.abort": transport.abort,
        }

    def data_received(self, data: bytes) -> None:
        # An offer of HTTP/2 (of curl, and of Java's client by default) may be left unanswered; the parser
        # takes it for an upgrade that has happened, and the body with it.
        if b"h2c" in data:
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _OFFER_OF_HTTP2.sub(b"", head) + end + rest
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self.scope["extensions"] = self._extensions
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0" and self._has_cycle():
            # The request's task has been made but has not run yet, so it will use this class's `send`.
            self.cycle.__class__ = CloseDelimitedCycle
            self.cycle.waiting_for_100_continue = False

    def _has_cycle(self) -> bool:
        # A request that becomes a WebSocket has none: there is nothing yet, or that of an earlier request.
        return bool(self.cycle) and self.cycle.scope is self.scope


class HeadJoiningTransport:
    """A transport that holds the head of an answer back for the next write, or until the loop's next turn."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.writelines((head, data))
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _unsent(transport: asyncio.Transport) -> int:
    """Return the bytes that the caller's system has not acknowledged: ours, and those in the kernel."""
    waiting = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if sys.platform == "win32" or sock is None:
        return waiting
    import fcntl
    import termios

    try:
        queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):  # the connection has just been closed
        return waiting
    return waiting + int.from_bytes(queued, sys.byteorder)


class CloseDelimitedCycle(RequestResponseCycle):
    """Writes a body without a declared length as it is; uvicorn closes the connection after it.

    uvicorn is told of a length that is never reached, until the last piece, which is then all that was left.
    """

    until_close = False

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            message = self._without_connection_headers(message)
        elif (
            message["type"] == "http.response.body"
            and self.until_close
            and not message.get("more_body", False)
        ):
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _without_connection_headers(self, start: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
        headers = [
            (name, value)
            for name, value in start.get("headers", [])
            if name.lower() not in _CONNECTION_HEADERS
        ]
        if all(name.lower() != b"content-length" for name, _ in headers):
            self.until_close = True
            self.chunked_encoding = False
            self.expected_content_length = sys.maxsize
        return {"type": "http.response.start", "status": start["status"], "headers": headers}
