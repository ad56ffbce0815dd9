"""What becomes of runs and their readers when the Redis below them is lost, emptied, full or silent."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import request, running
from tests.redis_fixtures import StartRedis, StartRelay
from tests.runtime.runs.kit import ask, becomes, events_of, receive_until, started
from tests.runtime.runs.test_on_redis import NO_GRACE, app_on, counts

pytestmark = pytest.mark.redis


class Talks:
    """An agent whose runs say a word each time they are nudged, and end when they are told."""

    def __init__(self) -> None:
        self.nudged = asyncio.Event()
        self.told_to_end = False
        self.under_way = 0

    async def __call__(self, payload: Any, context: StreamContext) -> Any:
        self.under_way += 1
        try:
            await context.emit("word", "first")
            while not self.told_to_end:
                await self.nudged.wait()
                self.nudged.clear()
                await context.emit("word", "next")
            return {"done": True}
        finally:
            self.under_way -= 1

    async def stopped(self) -> None:
        with anyio.fail_after(10):
            while self.under_way:
                self.nudged.set()
                await anyio.sleep(0.02)


async def test_readers_of_a_run_that_redis_forgot_are_not_left_waiting(
    own_redis: StartRedis,
) -> None:
    server, agent = own_redis(), Talks()
    app = app_on(server.url(), agent.__call__, expose=NO_GRACE, runs={"lease_seconds": 5})
    async with running(app):
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events") as exchange:
            await receive_until(exchange, b'"first"')
            server.empty()
            await agent.stopped()
            with anyio.fail_after(10):
                while await exchange.receive():
                    pass
        assert (await ask(app, "GET", f"/runs/{run_id}")).status == 404
        agent.told_to_end = True
        agent.nudged.set()
        await becomes(app, await started(app), "COMPLETED")


async def test_a_full_redis_is_named_and_taken_again_when_there_is_room(
    own_redis: StartRedis,
) -> None:
    server = own_redis("maxmemory-policy noeviction")
    async with running(app_on(server.url(), counts)) as app:
        await becomes(app, await started(app), "COMPLETED")
        with closing(server.client()) as client:
            client.config_set("maxmemory", 1)
            answer = await ask(app, "POST", "/runs", {})
            assert answer.status == 503
            assert "maxmemory" in str(answer.body)
            client.config_set("maxmemory", 0)
        await becomes(app, await started(app), "COMPLETED")


@pytest.mark.parametrize("max_attempts", [1, 2])
async def test_a_worker_that_is_cut_off_gives_its_run_up_and_it_goes_on_elsewhere(
    own_redis: StartRedis, relay: StartRelay, max_attempts: int
) -> None:
    server, lost, other = own_redis(), Talks(), Talks()
    way = relay(server)
    runs = {"lease_seconds": 5, "max_attempts": max_attempts}
    cut_off = app_on(server.relay_url(way), lost.__call__, expose=NO_GRACE, runs=runs)
    there = app_on(server.url(), other.__call__, works=True, expose=NO_GRACE, runs=runs)
    async with running(cut_off):
        run_id = await started(cut_off)
        await becomes(cut_off, run_id, "RUNNING")
        async with running(there):
            other.told_to_end = True
            way.freeze()
            with anyio.fail_after(15):
                run = await ended(there, run_id)
            way.cut()
            way.thaw()
            await lost.stopped()
            assert run["status"] == ("FAILED" if max_attempts == 1 else "COMPLETED")
            last = (await events_of(there, run_id))[-1].json()
            assert last["type"] == ("error" if max_attempts == 1 else "complete")
            # And it takes part again.
            lost.told_to_end = True
            assert (await ask(cut_off, "GET", f"/runs/{run_id}")).body["status"] == run["status"]


async def ended(app: Any, run_id: str) -> Any:
    while True:
        run = (await ask(app, "GET", f"/runs/{run_id}")).body
        if run["status"] in ("COMPLETED", "FAILED"):
            return run
        await anyio.sleep(0.05)
