"""One request on a connection of its own, and its whole answer; for requests that clients would not send."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from .server import HOST

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .server import Server


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


def ask(
    server: Server,
    method: str,
    path: str,
    headers: Iterable[tuple[str | bytes, str | bytes]] = (),
    body: bytes = b"{}",
) -> Answer:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    try:
        connection.putrequest(method, path)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read()
        fields = {name.lower(): value for name, value in response.getheaders()}
        is_json = fields.get("content-type") == "application/json"
        return Answer(response.status, json.loads(text) if is_json else text, fields)
    finally:
        connection.close()


def refused(message: str, code: str = "AUTH_ERROR") -> dict[str, Any]:
    """Return the body of a 401 or 403."""
    return {"detail": {"message": message, "code": code}}
