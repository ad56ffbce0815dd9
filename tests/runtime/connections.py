"""A real server with the protocol under test, and callers that speak to it in bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
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

OK = {"type": "http.response.start", "status": 200}
CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


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


def run(coroutine: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20):
            return await coroutine

    return asyncio.run(bounded())


async def whole_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionError
        body += message["body"]
        if not message["more_body"]:
            return body


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await whole_body(receive)
    names = b",".join(name for name, _ in scope["headers"])
    headers = [(b"content-length", str(len(body)).encode()), (b"x-seen", names)]
    await send({**OK, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def pieces(port: int, *sent: bytes) -> bytes:
    """Send the pieces one by one, each a packet of its own; return all that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(ConnectionError):
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
    answer = await reader.read()
    writer.close()
    return answer


def parsed(answer: bytes) -> tuple[int, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nx-request-id: " in head
    assert b"\r\ncontent-type: application/json" in head
    return int(head.split()[1]), json.loads(body)
