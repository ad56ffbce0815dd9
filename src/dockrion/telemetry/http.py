"""Semantic conventions of HTTP servers (stable ones, https://opentelemetry.io/docs/specs/semconv/http/http-spans/).

Left out: `url.query`, in which tickets and cursors stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dockrion.telemetry.base import Shared, Span

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_MAX_KNOWN: Final = 256


def shown_method(method: str) -> str:
    """Return a method as names of spans have it, of which there must not be many."""
    return method if method in _METHODS else "HTTP"


class RequestAttributes:
    """Makes those of requests; what many of them have in common is made once."""

    def __init__(self) -> None:
        self._known: dict[Any, Shared] = {}

    def of(
        self, scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: str
    ) -> tuple[Shared, dict[str, Any]]:
        """Return what is common, and what is the caller's."""
        key = (
            route,
            scope["method"],
            scope["path"],
            headers.get(b"host"),
            scope.get("scheme"),
            scope.get("http_version"),
        )
        shared = self._known.get(key)
        if shared is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            shared = self._known[key] = _common(scope, headers.get(b"host"), route)
        own: dict[str, Any] = {}
        client = scope.get("client")
        if client:
            own["client.address"] = client[0]
        agent = headers.get(b"user-agent")
        if agent is not None:
            own["user_agent.original"] = agent.decode("latin-1")[:512]
        return shared, own


def _common(scope: Mapping[str, Any], host: bytes | None, route: str) -> Shared:
    method: str = scope["method"]
    address, port = (None, None) if host is None else _address(host.decode("latin-1"))
    return Shared(
        {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "http.route": route,
            "url.path": scope["path"],
            "url.scheme": scope.get("scheme", "http"),
            "network.protocol.version": scope.get("http_version", "1.1"),
            "server.address": address,
            "server.port": port,
        }
    )


def _address(host: str) -> tuple[str, int | None]:
    address, colon, port = host.rpartition(":")
    is_port = colon and port.isascii() and port.isdigit() and len(port) <= 5
    return (address, int(port)) if is_port else (host, None)


def answered(span: Span, status: int, *, code: str | None, failed: bool) -> None:
    """Note how a request was answered; a refusal is the caller's fault, and no failure of the server.

    `code` is that of the error, if any. A stream that ended with one was answered with 200.
    """
    if failed:
        span.fail(code or str(status))
        code = None
    span.note({"http.response.status_code": status, "error.type": code})
