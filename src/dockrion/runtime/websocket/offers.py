"""Offers of a WebSocket, on a connection that has spoken HTTP so far: taken where the app has one at that path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dockrion.runtime.transport import AnswerTransport
from dockrion.runtime.websocket.handshake import Headers, accept_of
from dockrion.runtime.websocket.protocol import Opening, WebSocketProtocol

PING_SECONDS: Final = 20.0


class Sockets:
    """`has` says whether the app has a WebSocket at a path; the times are those of `Opening`."""

    def __init__(
        self,
        has: Callable[[str], bool],
        *,
        write_seconds: float,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._has = has
        self._write_seconds = write_seconds
        self._ping_seconds = ping_seconds

    def take(self, http: HttpToolsProtocol, transport: AnswerTransport, rest: bytes) -> bool:
        """Give the connection to a WebSocket if its last request asks for one as it should; `rest` came after that."""
        raw_path, _, query = http.url.partition(b"?")
        path = unquote(raw_path.decode("latin-1"))
        if not self._has(path):
            return False
        parser: Any = http.parser
        headers = http.headers
        accept = accept_of(parser.get_method(), parser.get_http_version(), headers)
        if accept is None:
            return False
        scope = {
            "type": "websocket",
            "asgi": {"version": http.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if http.scheme == "https" else "ws",
            "server": http.server,
            "client": http.client,
            "root_path": http.root_path,
            "path": http.root_path + path,
            "raw_path": http.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": headers,
            "subprotocols": _subprotocols(headers),
            "state": http.app_state.copy(),
        }
        socket = WebSocketProtocol(
            Opening(
                app=cast("Any", http.app),  # pyright: ignore[reportUnknownMemberType]
                loop=http.loop,
                transport=transport,
                scope=scope,
                accept=accept,
                rest=rest,
                connections=http.connections,
                tasks=http.tasks,
                default_headers=http.server_state.default_headers,
                write_seconds=self._write_seconds,
                ping_seconds=self._ping_seconds,
            )
        )
        http.connections.discard(http)
        transport.set_protocol(socket)
        socket.begin()
        return True


def _subprotocols(headers: Headers) -> list[str]:
    offered = b",".join(value for name, value in headers if name == b"sec-websocket-protocol")
    return [name.strip() for name in offered.decode("latin-1").split(",") if name.strip()]
