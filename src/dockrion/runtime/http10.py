"""The HTTP protocol of the server process: uvicorn's, with HTTP/1.0 callers served right.

uvicorn sends a body of unknown length in chunks, whatever version the caller speaks. HTTP/1.0 has no chunks
(RFC 9112, section 6.1: a server must not send them to such a caller), so there the end of the connection has
to be the end of the body.

The application also learns what ASGI does not tell: how much of what it sent has not left, and how to drop
a connection whose caller takes nothing. An HTTP/1.1 request pays one comparison and one reference.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent

# Of the connection, not of the answer: on HTTP/1.0 the server alone says them.
_CONNECTION_HEADERS = (b"connection", b"keep-alive", b"transfer-encoding")


class Http10Protocol(HttpToolsProtocol):
    """`HttpToolsProtocol` that answers HTTP/1.0 requests with a body that ends where the connection does.

    `scope["extensions"]` has `dockrion.unsent() -> int`, the bytes that wait for the caller to take them, and
    `dockrion.abort()`, which closes the connection without them.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._extensions: dict[str, Any] = {
            "dockrion.unsent": transport.get_write_buffer_size,
            "dockrion.abort": transport.abort,
        }

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
