"""A WebSocket in memory that looks like one request: messages go in, and all that comes back is its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

_LAST = ("complete", "error", "cancelled", "refused")


class SocketExchange:
    """The messages of one connection, as lines of JSON: `read` gives them as one list, up to the one that ends a run.

    `status` is that of the handshake where it was refused, and of the first message that is; `headers` have the run's id
    as answers do, and the code of a `close` by the app.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.ended = asyncio.Event()
        self.left = asyncio.Event()
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._refusal: bytes | None = None
        self._started = asyncio.Event()
        self._to_app.put_nowait({"type": "websocket.connect"})

    def say(self, message: Any) -> None:
        text = (
            message.decode(errors="replace") if isinstance(message, bytes) else json.dumps(message)
        )
        self._to_app.put_nowait({"type": "websocket.receive", "text": text})

    async def head(self) -> SocketExchange:
        await self._started.wait()
        return self

    async def receive(self) -> bytes:
        if self.ended.is_set() and self._chunks.empty():
            return b""
        return await self._chunks.get()

    async def read(self) -> bytes:
        lines: list[bytes] = []
        while chunk := await self.receive():
            lines.append(chunk.strip())
        return self._refusal if self._refusal is not None else b"[" + b",".join(lines) + b"]"

    def disconnect(self) -> None:
        if not self.left.is_set():
            self.left.set()
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})

    async def take(self) -> dict[str, Any]:
        return await self._to_app.get()

    async def send(self, message: Mapping[str, Any]) -> None:
        if self.left.is_set():
            return
        match message["type"]:
            case "websocket.http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            case "websocket.http.response.body":
                self._refusal = (self._refusal or b"") + message.get("body", b"")
                self._end()
            case "websocket.accept":
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            case "websocket.close":
                self.headers["close"] = str(message["code"])
                self._end()
            case _:
                self._hear(message["text"])

    def _hear(self, text: str) -> None:
        said = json.loads(text)
        kind = said["type"]
        if kind == "pong":
            self._end()
            return
        if kind == "accepted":
            self.headers["x-run-id"] = said["run_id"]
        if not self._started.is_set():
            self.status = said.get("status", 200) if kind == "refused" else 200
            if kind == "refused" and "retry_after" in said:
                self.headers["retry-after"] = str(said["retry_after"])
            self._started.set()
        self._chunks.put_nowait(text.encode() + b"\n")
        if kind in _LAST:
            self._end()
        elif kind == "interrupt":
            # What comes with it is there before the answer.
            self.say({"type": "ping"})

    def _end(self) -> None:
        self._started.set()
        if not self.ended.is_set():
            self.ended.set()
            self._chunks.put_nowait(b"")

    def closed(self) -> None:
        self._end()


@asynccontextmanager
async def socket(
    app: Any, path: str, messages: Any, headers: Mapping[str, str]
) -> AsyncGenerator[SocketExchange]:
    """Open one, and say the messages; leaving the block closes it, and ends when the app has returned."""
    exchange = SocketExchange()
    fields = {"host": "testserver", **headers}
    scope: dict[str, Any] = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1")) for k, v in fields.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    for message in messages if isinstance(messages, list) else [messages]:
        exchange.say(message)

    async def run() -> None:
        try:
            await app(scope, exchange.take, exchange.send)
        finally:
            exchange.closed()

    task = asyncio.get_running_loop().create_task(run())
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
