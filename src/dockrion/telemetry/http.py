"""Semantic conventions of HTTP servers (stable ones, https://opentelemetry.io/docs/specs/semconv/http/http-spans/).

Left out: `url.query`, in which tickets and cursors stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dockrion.telemetry.base import Attributes, Span

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def shown_method(method: str) -> str:
    """Return a method as names of spans have it, of which there must not be many."""
    return method if method in _METHODS else "HTTP"


def request_attributes(
    scope: Mapping[str, Any], headers: Mapping[bytes, bytes], route: str
) -> Attributes:
    method: str = scope["method"]
    attributes: dict[str, str | int] = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "http.route": route,
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
    }
    host = headers.get(b"host")
    if host is not None:
        _add_server(attributes, host.decode("latin-1"))
    client = scope.get("client")
    if client:
        attributes["client.address"] = client[0]
    agent = headers.get(b"user-agent")
    if agent is not None:
        attributes["user_agent.original"] = agent.decode("latin-1")[:512]
    return attributes


def _add_server(attributes: dict[str, str | int], host: str) -> None:
    address, colon, port = host.rpartition(":")
    if colon and port.isdigit() and len(port) <= 5:
        attributes["server.address"], attributes["server.port"] = address, int(port)
    else:
        attributes["server.address"] = host


def answered(span: Span, status: int, *, code: str | None, failed: bool) -> None:
    """Note how a request was answered; a refusal is the caller's fault, and no failure of the server.

    `code` is that of the error, if any. A stream that ended with one was answered with 200.
    """
    span.note({"http.response.status_code": status})
    if failed:
        span.fail(code or str(status))
    elif code is not None:
        span.note({"error.type": code})
