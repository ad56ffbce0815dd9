"""Bare ASGI, one send for each token: what most hand-written streams do. Async agents only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peers.bare import application, chosen_agent
from peers.frames import Frames

if TYPE_CHECKING:
    from peers.bare import Send

_agent = chosen_agent()


async def _stream(payload: Any, send: Send) -> None:
    frames = Frames()
    await send(_message(frames.started()))
    async for token in _agent(payload):
        frames.tick()
        await send(_message(frames.token(token)))
    await send(_message(frames.complete(), more=False))


def _message(frame: str, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": frame.encode(), "more_body": more}


app = application(_stream)
