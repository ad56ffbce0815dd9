"""Real servers with a WebSocket, ours and another, and a real client that speaks to them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal

import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from dockrion.runtime.protocol import ConnectionLimits, ServerProtocol
from dockrion.runtime.websocket.offers import Sockets
from dockrion.testing import app_for, running

ServerKind = Literal["ours", "uvicorn"]
SECONDS = 10.0
HELD = {"connection": {"on_disconnect": "continue"}}
TERMINAL = ("complete", "error", "cancelled")


@asynccontextmanager
async def served(
    agent: Any,
    *,
    kind: ServerKind = "ours",
    write_seconds: float = 60.0,
    ping_seconds: float = 20.0,
    app_is: Any = None,
    **sections: Any,
) -> AsyncGenerator[int]:
    """Serve the agent over a WebSocket and SSE; yield the port. `app_is` is called with the app."""
    expose = {"streaming": ["sse", "websocket"], **sections.pop("expose", {})}
    app = app_for(agent, expose=expose, **sections)
    if app_is is not None:
        app_is(app)
    async with (
        running(app),
        listening(app, kind, write_seconds=write_seconds, ping_seconds=ping_seconds) as port,
    ):
        yield port


@asynccontextmanager
async def listening(
    app: Any, kind: ServerKind = "ours", *, write_seconds: float = 60.0, ping_seconds: float = 20.0
) -> AsyncGenerator[int]:
    http: Any = "httptools"
    if kind == "ours":
        http = partial(
            ServerProtocol,
            limits=ConnectionLimits(write_seconds=write_seconds),
            sockets=Sockets(app.has_socket, write_seconds=write_seconds, ping_seconds=ping_seconds),
        )
    config = uvicorn.Config(
        app,
        http=http,
        ws="none" if kind == "ours" else "websockets-sansio",
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    sock = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


class Talk:
    """One connection of `websockets`, with the messages that have not been asked for yet."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            text = await self.connection.recv()
        assert isinstance(text, str), "messages are text"
        return json.loads(text)

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Say it, and return the next message."""
        await self.say(kind, **fields)
        return await self.next()

    async def start(self, payload: Any = None, **fields: Any) -> str:
        """Start a run; return its id."""
        answer = await self.ask("run", payload={} if payload is None else payload, **fields)
        assert answer["type"] == "accepted", answer
        return answer["run_id"]

    async def rest(self, run_id: str | None = None) -> list[dict[str, Any]]:
        """Return the events of one run up to its last; others are left out."""
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] not in TERMINAL:
            event = await self.next()
            if run_id is None or event.get("run_id") == run_id:
                seen.append(event)
        return seen

    async def closed(self) -> tuple[int, str]:
        """Wait for the close; return its code and reason."""
        async with asyncio.timeout(SECONDS):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None
        return self.connection.close_code, self.connection.close_reason or ""


@asynccontextmanager
async def talk(port: int, path: str = "/invoke/ws", **options: Any) -> AsyncGenerator[Talk]:
    async with connect(f"ws://127.0.0.1:{port}{path}", proxy=None, **options) as connection:
        yield Talk(connection)


def types_of(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
