"""An app that holds runs, and callers who leave it and come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
from fastapi import FastAPI

from dockrion.runs.held import HeldRuns
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


def held_runs(app: FastAPI) -> HeldRuns:
    held = app.state.dockrion.held
    assert held is not None
    return held


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
