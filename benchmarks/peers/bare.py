"""Owns what the bare ASGI peers share: no framework, no router, only what the protocol asks for."""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import agents

from peers.frames import HEADERS, encode_json, invoke_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message: TypeAlias = MutableMapping[str, Any]
    Receive: TypeAlias = Callable[[], Awaitable[Message]]
    Send: TypeAlias = Callable[[Message], Awaitable[None]]
    App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]
    Streamer: TypeAlias = Callable[[Any, Send], Awaitable[None]]

STREAM_START = {"type": "http.response.start", "status": 200, "headers": HEADERS}


def chosen_agent() -> Any:
    return getattr(agents, os.environ["BENCH_AGENT"])


def application(stream: Streamer) -> App:
    """Make an ASGI application; `stream(payload, send)` sends all of an event stream's body."""
    agent = chosen_agent()

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["path"] == "/ready":
            await _answer(send, {"status": "ready"})
        else:
            payload = json.loads(await _body(receive))
            if scope["path"] == "/invoke":
                began = time.perf_counter()
                output = await agent(payload)
                await _answer(send, invoke_answer(output, seconds=time.perf_counter() - began))
            else:
                await _stream_until_left(stream(payload, send), receive, send)

    return app


async def _stream_until_left(body: Any, receive: Receive, send: Send) -> None:
    """Send the stream, and stop the agent when the caller leaves."""
    await send(STREAM_START)
    task = asyncio.ensure_future(body)
    await receive()  # returns when the caller has left, or the answer is complete
    if not task.done():
        task.cancel()
    else:
        task.result()


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


async def _answer(send: Send, answer: Any) -> None:
    body = encode_json(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
