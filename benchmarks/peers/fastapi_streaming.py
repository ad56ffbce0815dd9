"""FastAPI with `StreamingResponse`: what its documentation shows, with the same frames."""

from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from peers.bare import chosen_agent
from peers.frames import HEADERS, Frames, encode_json, invoke_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator


class Payload(BaseModel):
    n: int
    interval: float | None = None
    idle: bool = False


app = FastAPI()
_agent = chosen_agent()
_headers = {name.decode(): value.decode() for name, value in HEADERS}


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/invoke")
async def invoke(payload: Payload) -> Response:
    began = time.perf_counter()
    output = await _agent(payload.model_dump())
    body = encode_json(invoke_answer(output, seconds=time.perf_counter() - began))
    return Response(body, media_type="application/json")


@app.post("/invoke/stream")
async def invoke_stream(payload: Payload) -> StreamingResponse:
    events = _events if inspect.isasyncgenfunction(_agent) else _sync_events
    return StreamingResponse(events(payload.model_dump()), headers=_headers)


async def _events(payload: dict[str, Any]) -> AsyncGenerator[str]:
    frames = Frames()
    yield frames.started()
    async for token in _agent(payload):
        frames.tick()
        yield frames.token(token)
    yield frames.complete()


def _sync_events(payload: dict[str, Any]) -> Generator[str]:
    frames = Frames()
    yield frames.started()
    for token in _agent(payload):
        frames.tick()
        yield frames.token(token)
    yield frames.complete()
