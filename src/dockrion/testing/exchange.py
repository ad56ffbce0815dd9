"""One HTTP exchange with an ASGI app in memory: bytes as they come, and a disconnect when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from dockrion.events.jsonable import encode
from dockrion.testing.sse import SSEEvent, SSEReader


class Exchange:
    """What a client sees of one request. `receive` gives a chunk of the body as the app sent it, `b""` at its end.

    `status` (0 before) and `headers` are there after `head` and after the first chunk; `ended` is set when the app has sent all.
    With `window`, the app's send waits while so many chunks have not been received: a client that reads slowly.
    """

    def __init__(self, app: Any, scope: dict[str, Any], body: bytes, window: int | None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.ended = asyncio.Event()
        self._app = app
        self._scope = scope
        self._body: bytes | None = body
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(window or 0)
        self._started = asyncio.Event()
        self._left = asyncio.Event()

    async def head(self) -> Exchange:
        """Wait for status and headers."""
        await self._started.wait()
        return self

    async def receive(self) -> bytes:
        if self.ended.is_set() and self._chunks.empty():
            return b""
        return await self._chunks.get()

    async def read(self) -> bytes:
        """Return all that is left of the body."""
        parts: list[bytes] = []
        while chunk := await self.receive():
            parts.append(chunk)
        return b"".join(parts)

    async def json(self) -> Any:
        return msgspec.json.decode(await self.read())

    async def events(self) -> AsyncIterator[SSEEvent]:
        """Yield the events of the stream as they come, until its end."""
        reader = SSEReader()
        while chunk := await self.receive():
            for event in reader.feed(chunk):
                yield event

    def disconnect(self) -> None:
        """Go away, as a client does that closes its connection."""
        self._left.set()

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        finally:
            self.ended.set()
            self._started.set()
            # Wakes a waiting receiver; where chunks are left there is none.
            if self._chunks.empty():
                self._chunks.put_nowait(b"")

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Mapping[str, Any]) -> None:
        if self._left.is_set():
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.raw_headers = list(message["headers"])
            self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in self.raw_headers}
            self._started.set()
        elif message.get("body"):
            await self._put(message["body"])
        if not message.get("more_body", True):
            self.ended.set()

    async def _put(self, chunk: bytes) -> None:
        """Wait for room, but not for a client that has gone."""
        if not self._chunks.full():
            self._chunks.put_nowait(chunk)
            return
        putting = asyncio.ensure_future(self._chunks.put(chunk))
        leaving = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({putting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
            leaving.cancel()


@asynccontextmanager
async def request(
    app: Any,
    method: str,
    path: str,
    *,
    body: Any = b"",
    headers: Mapping[str, str] | None = None,
    window: int | None = None,
) -> AsyncGenerator[Exchange]:
    """Send one request; `body` is bytes, or a value that becomes JSON. Leaving the block disconnects.

    The block ends when the app has returned, within 5 seconds; what the app raised is raised there.
    """
    raw = body if isinstance(body, bytes) else encode(body)
    bare, _, query = path.partition("?")
    fields = {"host": "testserver", **{k.lower(): v for k, v in (headers or {}).items()}}
    if raw:
        fields = {"content-type": "application/json", "content-length": str(len(raw)), **fields}
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in fields.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }
    exchange = Exchange(app, scope, raw, window)
    task = asyncio.get_running_loop().create_task(exchange.run())
    try:
        yield exchange
    finally:
        exchange.disconnect()
        try:
            async with asyncio.timeout(5):
                await asyncio.wait({task})
        finally:
            task.cancel()
    if not task.cancelled():
        task.result()


def post(
    app: Any,
    path: str,
    body: Any = b"",
    *,
    headers: Mapping[str, str] | None = None,
    window: int | None = None,
) -> AbstractAsyncContextManager[Exchange]:
    """`request` with POST."""
    return request(app, "POST", path, body=body, headers=headers, window=window)


@asynccontextmanager
async def running(app: Any) -> AsyncGenerator[Any]:
    """Run the app's lifespan around the block, as a server does. Raises `RuntimeError` where the app does not start."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {}}
    task = asyncio.get_running_loop().create_task(app(scope, to_app.get, from_app.put))
    await _say(to_app, from_app, "lifespan.startup")
    try:
        yield app
    finally:
        await _say(to_app, from_app, "lifespan.shutdown")
        await task


async def _say(
    to_app: asyncio.Queue[dict[str, Any]], from_app: asyncio.Queue[Mapping[str, Any]], kind: str
) -> None:
    await to_app.put({"type": kind})
    async with asyncio.timeout(35):
        answer = await from_app.get()
    if answer["type"] != f"{kind}.complete":
        raise RuntimeError(f"{kind}: {answer.get('message', answer['type'])}")
