"""Tickets and rates in a backend that processes share: from the first call on, wherever the app stands."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import time
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from dockrion.testing import ScriptedAgent, app_for, post, read_sse, request, running

from .test_auth import AUTH, keys, who
from .test_tickets import call, ticket_for

__all__ = ["keys"]

LIMITED = {"mode": "none", "rate_limits": {"default": "2/hour"}}


async def answer(payload: Any) -> Any:
    return {"got": payload}


def shared(folder: Path, *, async_runs: bool = True) -> dict[str, Any]:
    return {
        "backend": "sqlite",
        "async_runs": async_runs,
        "sqlite": {"path": str(folder / "runs.db")},
    }


@pytest.mark.parametrize("async_runs", [True, False])
async def test_calls_are_counted_over_all_processes(tmp_path: Path, async_runs: bool) -> None:
    streaming = shared(tmp_path, async_runs=async_runs)
    statuses: list[int] = []
    async with running(app_for(answer, auth=LIMITED, streaming=streaming)) as one:
        statuses.append((await call(one, "/invoke"))[0])
        async with running(app_for(answer, auth=LIMITED, streaming=streaming)) as other:
            statuses += [(await call(app, "/invoke"))[0] for app in (other, one, other)]
    # A restart does not begin anew.
    async with running(app_for(answer, auth=LIMITED, streaming=streaming)) as next_one:
        statuses.append((await call(next_one, "/invoke"))[0])

    assert statuses == [200, 200, 429, 429, 429]


async def test_a_ticket_of_one_process_is_good_for_one_call_to_any(tmp_path: Path) -> None:
    streaming = shared(tmp_path)
    async with (
        running(app_for(who, auth=AUTH, streaming=streaming)) as one,
        running(app_for(who, auth=AUTH, streaming=streaming)) as other,
    ):
        path = f"/invoke?ticket={await ticket_for(one, '/invoke')}"
        statuses = [(await call(app, path))[0] for app in (other, one, other)]

    assert statuses == [200, 401, 401]


async def test_the_first_call_to_a_mounted_app_opens_the_backend(tmp_path: Path) -> None:
    app = app_for(answer, auth=LIMITED, streaming=shared(tmp_path))
    outer = FastAPI()
    outer.mount("/agent", app)
    try:
        async with post(outer, "/agent/invoke", {}) as exchange:
            body = await exchange.json()
    finally:
        await app.state.dockrion.close()

    assert (exchange.status, body["output"]) == (200, {"got": {}})
    assert exchange.headers["ratelimit-remaining"] == "1"


async def test_a_backend_that_cannot_be_opened_is_not_the_callers_fault(tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("no database, but long enough to be taken for one")
    app = app_for(answer, auth=LIMITED, streaming=shared(tmp_path))
    outer = FastAPI()
    outer.mount("/agent", app)
    try:
        statuses: list[tuple[int, str]] = []
        for _ in range(2):
            async with post(outer, "/agent/invoke", {}) as exchange:
                body = await exchange.json()
                statuses.append((exchange.status, body["code"]))
    finally:
        await app.state.dockrion.close()

    assert statuses == [(503, "SERVICE_UNAVAILABLE")] * 2


SUBSCRIBE = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": "r"}}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/runs/r/events", b""),
        ("GET", "/v1/responses/resp_r?stream=true", b""),
        ("POST", "/a2a", SUBSCRIBE),
        ("POST", "/invoke/stream", b"{}"),
        ("GET", "/ai-sdk/t/stream", b""),
    ],
)
async def test_whoever_follows_a_run_in_one_process_keeps_its_window_in_another_open(
    tmp_path: Path, method: str, path: str, body: Any
) -> None:
    window = {"connection": {"resume_window": 60}}
    expose = {"protocols": ["openai", "a2a", "ai-sdk"]}
    gate = asyncio.Event()
    agent = ScriptedAgent(["a", gate])

    def app() -> FastAPI:
        schema = {"input": {"properties": {"messages": {}}}}
        streaming = {**shared(tmp_path), **window}
        return app_for(agent, expose=expose, io_schema=schema, streaming=streaming)

    with anyio.fail_after(10):
        async with running(app()) as one, running(app()) as other:
            head = {"X-Run-ID": "r", "X-Thread-ID": "t"}
            async with post(one, "/invoke/stream", {}, headers=head) as exchange:
                seen = read_sse(await exchange.receive())[0]
            store = other.state.dockrion.runs.store
            assert (await store.get("r")).read_until == 0
            back = {"Last-Event-ID": seen.id} if path == "/invoke/stream" else {}
            async with request(other, method, path, body=body, headers=back) as exchange:
                assert await exchange.receive()
                read_until = (await store.get("r")).read_until
                gate.set()
                await exchange.read()
    assert read_until > time()
