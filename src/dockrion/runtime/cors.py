"""Cross-origin callers: `expose.cors`, on every path, at no cost for callers who send no `Origin`."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Final, cast

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from dockrion.runtime.asgi import ASGIApp, Receive, Scope, Send
from dockrion.runtime.requests import new_request_id
from dockrion.spec.expose import CorsSpec

# What a browser client of ours sends and reads beside what the Dockfile lists.
ALWAYS_ALLOWED: Final = ("Last-Event-ID", "X-Run-ID", "X-Thread-ID")
EXPOSED: Final = (
    "X-Run-ID",
    "X-Request-ID",
    "Location",
    "Retry-After",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
)
# And of clients of MCP, where that is served.
MCP_ALLOWED: Final = ("MCP-Protocol-Version", "Mcp-Session-Id", "Mcp-Method", "Mcp-Name")
MCP_EXPOSED: Final = ("Mcp-Session-Id",)


def with_cors(
    app: ASGIApp, cors: CorsSpec, *, credentials: Iterable[str] = (), mcp: bool = False
) -> ASGIApp:
    """Answer preflights, and add the headers that browsers want, where a request has an `Origin`.

    `credentials` are the headers that callers prove themselves with; `mcp`: there are clients of that.
    """
    guarded = cast(
        "ASGIApp",
        _Cors(
            app,  # pyright: ignore[reportArgumentType]  (the same shape under another name)
            allow_origins=cors.origins,
            allow_methods=cors.methods,
            allow_headers=(
                *cors.headers,
                *ALWAYS_ALLOWED,
                *credentials,
                *(MCP_ALLOWED if mcp else ()),
            ),
            allow_credentials=cors.credentials,
            expose_headers=(*EXPOSED, *MCP_EXPOSED) if mcp else EXPOSED,
        ),
    )

    def choose(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if name == b"origin":
                    return guarded(scope, receive, send)
        return app(scope, receive, send)

    return choose


class _Cors(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        response.headers["X-Request-ID"] = new_request_id().decode()
        return response
