"""Dispatch through docket on a real Redis."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing
from time import monotonic

import anyio
import pytest

from dockrion.backends.base import BackendError
from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import RunStatus
from dockrion.runs.dispatch.docket import DocketDispatcher
from dockrion.runs.store.base import RunRecord
from dockrion.runs.store.redis import prefix_of
from tests.contracts.run_stores import until
from tests.redis_server import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def server() -> Generator[RedisServer]:
    with RedisServer() as server:
        yield server


@asynccontextmanager
async def dispatcher(server: RedisServer) -> AsyncGenerator[DocketDispatcher]:
    one = DocketDispatcher(server.url(), prefix=prefix_of("agent"))
    await one.open()
    try:
        yield one
    finally:
        await one.close()


def accepted(run_id: str) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        status=RunStatus.ACCEPTED,
        owner=ANONYMOUS,
        fingerprint="",
        created_at=0.0,
    )


class Executed:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.goes_on = anyio.Event()

    async def at_once(self, run_id: str) -> None:
        self.ids.append(run_id)

    async def until_told(self, run_id: str) -> None:
        self.ids.append(run_id)
        await self.goes_on.wait()


async def test_what_is_submitted_is_executed_by_one_worker_at_once(server: RedisServer) -> None:
    executed = Executed()
    async with dispatcher(server) as replica, dispatcher(server) as one, dispatcher(server) as two:
        one.work(executed.at_once, 4)
        two.work(executed.at_once, 4)
        await replica.submit(accepted("warm-up"))
        await until(lambda: executed.ids)
        began = monotonic()
        for number in range(20):
            await replica.submit(accepted(f"r{number}"))
            await until(lambda number=number: f"r{number}" in executed.ids)
        assert monotonic() - began < 2.0
    assert sorted(executed.ids) == sorted(["warm-up", *(f"r{number}" for number in range(20))])


async def test_many_runs_leave_nothing_behind(server: RedisServer) -> None:
    executed = Executed()
    async with dispatcher(server) as one:
        one.work(executed.at_once, 16)
        for number in range(300):
            await one.submit(accepted(f"r{number}"))
        await until(lambda: len(executed.ids) == 300)
    with closing(server.client()) as client:
        keys = [key.decode() for key in client.keys("*")]
        assert client.xlen("dockrion:{agent}:docket:stream") == 0
    assert all("docket" in str(key) for key in keys)
    assert len(keys) < 10


async def test_what_is_submitted_again_and_again_waits_once(server: RedisServer) -> None:
    executed = Executed()
    async with dispatcher(server) as one:
        for _ in range(50):
            await one.submit(accepted("r1"))
        with closing(server.client()) as client:
            assert client.xlen("dockrion:{agent}:docket:stream") == 1
        one.work(executed.at_once, 4)
        await until(lambda: executed.ids)
    assert executed.ids == ["r1"]


async def test_a_run_that_is_executed_can_be_submitted_again(server: RedisServer) -> None:
    executed = Executed()
    async with dispatcher(server) as one:
        one.work(executed.until_told, 4)
        await one.submit(accepted("r1"))
        await until(lambda: len(executed.ids) == 1)
        await one.submit(accepted("r1"))
        await until(lambda: len(executed.ids) == 2)
        executed.goes_on.set()


async def test_who_rests_takes_nothing_and_ends_what_it_has(server: RedisServer) -> None:
    executed, others = Executed(), Executed()
    async with dispatcher(server) as one, dispatcher(server) as two:
        one.work(executed.until_told, 4)
        await one.submit(accepted("r1"))
        await until(lambda: executed.ids)
        one.rest()
        for number in range(5):
            await one.submit(accepted(f"later{number}"))
        two.work(others.at_once, 4)
        await until(lambda: len(others.ids) == 5)
        assert executed.ids == ["r1"]
        executed.goes_on.set()


async def test_work_goes_on_after_redis_was_away_and_the_log_stays_quiet(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    executed = Executed()
    with caplog.at_level(logging.INFO):
        async with dispatcher(server) as one:
            one.work(executed.at_once, 4)
            await one.submit(accepted("r1"))
            await until(lambda: executed.ids)
            server.kill()
            with pytest.raises(BackendError):
                await one.submit(accepted("r2"))
            server.start()

            async def submitted() -> bool:
                try:
                    await one.submit(accepted("r3"))
                except BackendError:
                    return False
                return True

            await until(submitted)
            await until(lambda: "r3" in executed.ids, seconds=15)
    assert not [record for record in caplog.records if record.name.startswith("docket")]
