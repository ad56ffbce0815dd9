"""A real server with the protocol under test, and callers that speak to it in bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import uvicorn

from dockrion.runtime.protocol import ConnectionLimits, ServerProtocol

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@asynccontextmanager
async def serving(
    app: App,
    *,
    limits: ConnectionLimits | None = None,
    keep_alive: float = 5,
    on_server: Callable[[uvicorn.Server], object] = id,
) -> AsyncGenerator[int]:
    """Serve `app` with the protocol under test; yield the port."""
    http: Any = partial(ServerProtocol, limits=limits or ConnectionLimits())
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        date_header=False,
        log_config=None,
        timeout_keep_alive=cast("int", keep_alive),
    )
    server = uvicorn.Server(config)
    on_server(server)
    sock = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[sock]))
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True


async def exchange(port: int, request: bytes) -> bytes:
    """Send `request`, return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
