"""Callers of `/runs`, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import anyio
from fastapi import FastAPI

from dockrion.testing import Exchange, SSEEvent, request

RUN_ID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Mapping[str, str]


async def ask(
    app: FastAPI, method: str, path: str, body: Any = b"", headers: Mapping[str, str] | None = None
) -> Answer:
    async with request(app, method, path, body=body, headers=headers) as exchange:
        raw = await exchange.read()
        data = await _json(raw)
    return Answer(exchange.status, data, exchange.headers)


async def _json(raw: bytes) -> Any:
    import msgspec

    return msgspec.json.decode(raw) if raw else None


async def started(
    app: FastAPI, body: Any = None, path: str = "/runs", headers: Mapping[str, str] | None = None
) -> str:
    """Start a run; return its id."""
    answer = await ask(app, "POST", path, {} if body is None else body, headers)
    assert answer.status == 202, answer
    return answer.body["run_id"]


async def status_of(app: FastAPI, run_id: str, headers: Mapping[str, str] | None = None) -> str:
    return (await ask(app, "GET", f"/runs/{run_id}", headers=headers)).body["status"]


async def becomes(
    app: FastAPI, run_id: str, status: str, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Wait until a run has that status; return how it is then."""
    with anyio.fail_after(5):
        while True:
            body = (await ask(app, "GET", f"/runs/{run_id}", headers=headers)).body
            if body["status"] == status:
                return body
            await asyncio.sleep(0.005)


async def events_of(
    app: FastAPI, run_id: str, query: str = "", headers: Mapping[str, str] | None = None
) -> list[SSEEvent]:
    """Read a subscription to its end."""
    with anyio.fail_after(5):
        async with request(app, "GET", f"/runs/{run_id}/events{query}", headers=headers) as one:
            await one.head()
            assert one.status == 200, await one.read()
            return [event async for event in one.events()]


async def receive_until(exchange: Exchange, text: bytes) -> bytes:
    received = b""
    with anyio.fail_after(5):
        while text not in received:
            chunk = await exchange.receive()
            assert chunk, "the stream ended"
            received += chunk
    return received


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await asyncio.sleep(0.005)


def sequences(events: list[SSEEvent]) -> list[int]:
    return [event.json()["sequence"] for event in events]
