"""Dispatch goes on after whatever happens to Redis, and to other workers."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import anyio
import pytest

from dockrion.backends.base import BackendError
from dockrion.runs.dispatch.docket import REDELIVERY_SECONDS, DocketDispatcher
from tests.contracts.run_stores import until
from tests.redis_fixtures import StartRedis, StartRelay
from tests.redis_server import RedisServer
from tests.runs.dispatch.docket_kit import Executed, dispatcher, record

pytestmark = pytest.mark.redis

ROOT = Path(__file__).parents[3]


async def submitted(one: DocketDispatcher, run_id: str) -> None:
    """Submit as the reaper does: until it can be done."""

    async def can_be() -> bool:
        try:
            await one.submit(record(run_id))
        except BackendError:
            return False
        return True

    await until(can_be)


async def test_work_goes_on_after_a_restart_while_a_long_run_goes_on(
    own_redis: StartRedis, caplog: pytest.LogCaptureFixture
) -> None:
    server, executed = own_redis(), Executed()
    async with dispatcher(server.url(), executed) as one:
        await one.submit(record("long"))
        await executed.come(1)
        server.kill()
        with pytest.raises(BackendError, match="Redis"):
            await one.submit(record("refused"))
        server.start()
        await submitted(one, "after")
        await executed.come(2, seconds=5.0)
        assert executed.at_once == 2
        executed.let_go()
    assert executed.begun == ["long", "after"]
    assert not [line for line in caplog.records if line.levelno >= logging.ERROR]
    assert not [line for line in caplog.records if line.name.startswith("docket")]


async def test_what_waited_when_redis_was_killed_is_executed_once_it_is_back(
    own_redis: StartRedis,
) -> None:
    server, executed = own_redis(), Executed()
    executed.let_go()
    async with dispatcher(server.url()) as one:
        for number in range(5):
            await one.submit(record(f"r{number}"))
        server.restart()
        async with dispatcher(server.url(), executed):
            await executed.come(5)
    assert executed.begun == [f"r{number}" for number in range(5)]


async def test_work_goes_on_after_redis_was_emptied(own_redis: StartRedis) -> None:
    server, executed = own_redis(), Executed()
    executed.let_go()
    async with dispatcher(server.url(), executed) as one:
        await one.submit(record("before"))
        await executed.come(1)
        server.empty()
        await one.submit(record("after"))
        await executed.come(2, seconds=3.0)
    assert executed.begun == ["before", "after"]


async def test_a_partition_is_noticed_and_overcome(
    own_redis: StartRedis, relay: StartRelay
) -> None:
    server, executed = own_redis(), Executed()
    way = relay(server)
    async with dispatcher(server.relay_url(way), executed) as cut_off:
        await cut_off.submit(record("before"))
        await executed.come(1)
        way.freeze()
        with anyio.fail_after(8), pytest.raises(BackendError):
            await cut_off.submit(record("meanwhile"))
        way.cut()
        way.thaw()
        await submitted(cut_off, "after")
        await until(lambda: "after" in executed.begun)
        executed.let_go()


async def test_closing_is_not_held_up_by_a_redis_that_is_silent(
    own_redis: StartRedis, relay: StartRelay
) -> None:
    server, executed = own_redis(), Executed()
    executed.let_go()
    way = relay(server)
    async with dispatcher(server.relay_url(way), executed) as one:
        await one.submit(record("before"))
        await executed.come(1)
        way.freeze()
        began = monotonic()
        await one.close()
        assert monotonic() - began < 3.0
        way.thaw()


async def test_a_full_redis_is_said_and_left_behind(own_redis: StartRedis) -> None:
    server, executed = own_redis("maxmemory-policy noeviction"), Executed()
    executed.let_go()
    async with dispatcher(server.url(), executed) as one:
        with closing(server.client()) as client:
            client.config_set("maxmemory", 1)
            with pytest.raises(BackendError, match="maxmemory"):
                await one.submit(record("refused"))
            client.config_set("maxmemory", 0)
        await one.submit(record("taken"))
        await executed.come(1)
    assert executed.begun == ["taken"]


@contextmanager
def worker_process(server: RedisServer) -> Generator[subprocess.Popen[bytes]]:
    """A worker of its own process, which reads messages and is blocked by the first run."""
    command = [sys.executable, "-m", "tests.runs.dispatch.docket_worker", server.url()]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_what_a_worker_had_read_goes_to_others_when_it_is_no_more(
    own_redis: StartRedis, number: signal.Signals
) -> None:
    """The first run blocks it, so that it has not begun the others that it was given."""
    server, executed = own_redis(), Executed()
    executed.let_go()
    async with dispatcher(server.url()) as submitter:
        for name in ("a", "b", "c"):
            await submitter.submit(record(name))
        with worker_process(server) as process:
            assert await anyio.to_thread.run_sync(line_of, process) == "works"
            assert await anyio.to_thread.run_sync(line_of, process) == "a"
            process.send_signal(number)
            async with dispatcher(server.url(), executed):
                await until(lambda: {"b", "c"} <= {*executed.begun}, seconds=3 * REDELIVERY_SECONDS)
