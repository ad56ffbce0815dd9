"""A network that answers one request after the other as a test says, and keeps what was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx2

from dockrion.events import sse
from dockrion.events.model import Batch, Event

RUN = "r-1"
TIME = "2026-11-24T11:00:00.000Z"
CUT = httpx2.ReadError("cut")


class Reply(NamedTuple):
    """`pieces` of a body, then its end, or `then`."""

    status: int
    pieces: list[bytes]
    headers: dict[str, str]
    then: Exception | None = None


def stream(*pieces: bytes, cut: bool = False) -> Reply:
    headers = {"content-type": "text/event-stream", "x-run-id": RUN}
    return Reply(200, list(pieces), headers, CUT if cut else None)


def answer(status: int, data: Any = None, **headers: str) -> Reply:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Reply(status, [body], {"content-type": "application/json", **fields})


def refusal(status: int, code: str, message: str = "No.", **headers: str) -> Reply:
    return answer(
        status, {"success": False, "error": message, "code": code, "details": None}, **headers
    )


def frames(first: int, *events: Event) -> bytes:
    return sse.frames(RUN, Batch(list(events), first, TIME))


class Script(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Gives the replies in turn; an exception among them is what sending leads to."""

    def __init__(self, *replies: Reply | Exception) -> None:
        self.requests: list[httpx2.Request] = []
        self.closed = 0
        self._replies = list(replies)

    @property
    def asked(self) -> list[str]:
        """Method, path and query of each request, and what it had seen."""
        lines: list[str] = []
        for request in self.requests:
            seen = request.headers.get("last-event-id")
            line = f"{request.method} {request.url.raw_path.decode()}"
            lines.append(f"{line} after {seen}" if seen else line)
        return lines

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        assert self._replies, f"nobody expected {self.asked}"
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return httpx2.Response(reply.status, headers=reply.headers, stream=_Body(reply, self))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)

    def is_played(self) -> bool:
        return not self._replies


class _Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    def __init__(self, reply: Reply, script: Script) -> None:
        self._reply = reply
        self._script = script

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.pieces
        if self._reply.then is not None:
            raise self._reply.then

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self._script.closed += 1

    async def aclose(self) -> None:
        self.close()
