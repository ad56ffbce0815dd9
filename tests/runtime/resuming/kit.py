"""An app that holds runs, and callers who leave it and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
from fastapi import FastAPI

from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runs.store.memory import MemoryStore
from dockrion.testing import Exchange, SSEEvent, app_for, post

PATH = "/invoke/stream?run_id=r"
Advance = Callable[[float], None]


def holding(
    agent: Any, *, window: float = 0, ttl: float = 300, max_events: int = 10_000, **sections: Any
) -> FastAPI:
    """The app around an agent whose runs go on without a caller: to their end, or for a window."""
    connection: dict[str, Any] = {"resume_window": window} if window else {}
    connection = connection or {"on_disconnect": "continue"}
    connection |= sections.pop("connection", {})
    memory = {"stream_ttl_seconds": ttl, "max_events_per_run": max_events}
    return app_for(
        agent,
        streaming={"connection": connection, "memory": memory, **sections.pop("more", {})},
        **sections,
    )


def store_of(app: FastAPI) -> MemoryStore:
    service: RunService | None = app.state.dockrion.runs
    assert service is not None
    assert isinstance(service.store, MemoryStore)
    return service.store


async def kept(app: FastAPI, run_id: str = "r") -> RunRecord | None:
    """What the app knows of a run, if it keeps it."""
    return await store_of(app).get(run_id)


async def ended(app: FastAPI, run_id: str = "r") -> None:
    """Return when the run has ended, and that is stored."""
    with anyio.fail_after(5):
        while (record := await kept(app, run_id)) is not None and not record.is_final:
            await asyncio.sleep(0)


def after(sequence: int, run_id: str = "r") -> dict[str, str]:
    return {"Last-Event-ID": f"{run_id}:{sequence}"}


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(5):
        while not condition():
            await asyncio.sleep(0)


async def turns() -> None:
    """Let the loop do whatever is due."""
    for _ in range(20):
        await asyncio.sleep(0)


async def whole(app: FastAPI, path: str = PATH) -> list[SSEEvent]:
    async with post(app, path, {}) as exchange:
        return [event async for event in exchange.events()]


async def resumed(app: FastAPI, sequence: int) -> list[SSEEvent]:
    async with post(app, "/invoke/stream", headers=after(sequence)) as exchange:
        events = [event async for event in exchange.events()]
    assert exchange.status == 200
    return events


async def receive_until(exchange: Exchange, text: bytes) -> bytes:
    received = b""
    while text not in received:
        chunk = await exchange.receive()
        assert chunk, "the stream ended"
        received += chunk
    return received


def numbers(events: list[SSEEvent]) -> list[int]:
    return [event.json()["sequence"] for event in events]


async def each_rest(app: FastAPI, path: str, body: Any, *, last: int) -> str:
    """Read a stream of another protocol whole, and what comes after each of its events but the one with the number
    `last`, which must be its rest; return the run's id.
    """
    async with post(app, path, body) as exchange:
        stream = await exchange.read()
    run_id = exchange.headers["x-run-id"]
    for seen in range(last):
        async with post(app, path, body, headers=after(seen, run_id)) as exchange:
            rest = await exchange.read()
        assert stream.endswith(rest)
        assert f":{seen + 1}\n\n".encode() in rest
    return run_id
