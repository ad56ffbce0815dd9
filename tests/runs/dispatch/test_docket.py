"""Runs come to workers through docket, each to one with a free place."""

from __future__ import annotations

import asyncio
import logging
import pickle
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from dockrion.runs.dispatch.docket import REDELIVERY_SECONDS
from tests.contracts.run_stores import until
from tests.runs.dispatch.docket_kit import PREFIX, Executed, dispatcher, record

pytestmark = pytest.mark.redis

STREAM = f"{PREFIX}docket:stream"
GROUP = "docket-workers"


async def test_a_run_begins_at_once_on_a_worker_of_another_process(redis_url: str) -> None:
    executed = Executed()
    async with dispatcher(redis_url) as here, dispatcher(redis_url, executed):
        await here.submit(record("first"))
        await executed.come(1)
        began = monotonic()
        await here.submit(record("second"))
        await executed.come(2)
        executed.let_go()
        assert monotonic() - began < REDELIVERY_SECONDS / 2, "by no round that comes now and then"
    assert executed.begun == ["first", "second"]


async def test_a_worker_takes_no_more_than_it_has_places_for(redis_url: str) -> None:
    executed = Executed()
    async with dispatcher(redis_url, executed, concurrency=3) as one:
        for number in range(12):
            await one.submit(record(f"r{number}"))
        await executed.come(3)
        await asyncio.sleep(0.1)
        assert len(executed.begun) == 3
        executed.let_go()
        await executed.come(12)
    assert executed.most_at_once == 3
    assert executed.begun == [f"r{number}" for number in range(12)]


async def test_what_one_worker_has_no_place_for_goes_to_another(redis_url: str) -> None:
    full, free = Executed(), Executed()
    async with dispatcher(redis_url, full, concurrency=1) as one:
        await one.submit(record("long"))
        await full.come(1)
        async with dispatcher(redis_url, free, concurrency=1):
            await one.submit(record("next"))
            await free.come(1)
            free.let_go()
        full.let_go()
    assert (full.begun, free.begun) == (["long"], ["next"])


async def test_a_run_that_is_submitted_again_while_it_waits_comes_once(redis_url: str) -> None:
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url) as one:
        for _ in range(3):
            await one.submit(record("waits"))
        async with dispatcher(redis_url, executed):
            await one.submit(record("last"))
            await executed.come(2)
    assert executed.begun == ["waits", "last"]


async def test_a_run_that_has_been_looked_at_can_be_submitted_again(redis_url: str) -> None:
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url, executed) as one:
        for count in (1, 2, 3):
            await one.submit(record("again"))
            await executed.come(count)
            # Until it is acknowledged, which may be a moment later, it stands for what is submitted.
            await until(lambda: _keys_of(one))
    assert executed.begun == ["again"] * 3


async def test_a_run_whose_message_was_lost_is_submitted_anew(
    redis_url: str, redis_client: Any
) -> None:
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url) as one:
        await one.submit(record("lost"))
        redis_client.delete(STREAM)
        await one.submit(record("lost"))
        async with dispatcher(redis_url, executed):
            await executed.come(1)
    assert executed.begun == ["lost"]


async def test_a_run_whose_message_was_lost_with_its_worker_is_submitted_anew(
    redis_url: str, redis_client: Any
) -> None:
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url) as one:
        await one.submit(record("lost"))
        state = {"state": "running", "started_at": "2020-01-01T00:00:00+00:00"}
        redis_client.hset(f"{PREFIX}docket:runs:lost:0:0", mapping=state)
        redis_client.hdel(f"{PREFIX}docket:runs:lost:0:0", "known", "stream_id")
        redis_client.delete(STREAM)
        await one.submit(record("lost"))
        async with dispatcher(redis_url, executed):
            await executed.come(1)
    assert executed.begun == ["lost"]


async def test_who_rests_takes_nothing_more_and_what_it_has_goes_on(redis_url: str) -> None:
    resting, other = Executed(), Executed()
    async with dispatcher(redis_url, resting) as one:
        await one.submit(record("here"))
        await resting.come(1)
        one.rest()
        await one.submit(record("there"))
        async with dispatcher(redis_url, other):
            await other.come(1)
            other.let_go()
        assert resting.at_once == 1
        resting.let_go()
    assert (resting.begun, other.begun) == (["here"], ["there"])


async def test_what_was_read_in_the_last_moment_goes_to_others_at_once(redis_url: str) -> None:
    resting, other = Executed(), Executed()
    other.let_go()
    async with dispatcher(redis_url, resting) as one, dispatcher(redis_url) as submitter:
        await asyncio.gather(*(submitter.submit(record(f"r{number}")) for number in range(20)))
        one.rest()
        async with dispatcher(redis_url, other):
            await until(lambda: len(resting.begun) + len(other.begun) == 20, seconds=3.0)
        resting.let_go()
    assert sorted(resting.begun + other.begun) == sorted(f"r{number}" for number in range(20))


async def test_closing_does_not_wait(redis_url: str) -> None:
    async with dispatcher(redis_url, Executed()) as one:
        await until(lambda: _is_reading(one))
        began = monotonic()
        await one.close()
        assert monotonic() - began < REDELIVERY_SECONDS / 2


async def test_a_thousand_runs_leave_nothing_in_redis(redis_url: str, redis_client: Any) -> None:
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url, executed, concurrency=50) as one:
        for begin in range(0, 1000, 100):
            await asyncio.gather(*(one.submit(record(f"r{begin + n}")) for n in range(100)))
        await executed.come(1000)
        await until(lambda: redis_client.xlen(STREAM) == 0)
        await until(lambda: redis_client.xpending(STREAM, GROUP)["pending"] == 0)
        assert len(set(executed.begun)) == 1000
    left = {key.decode().removeprefix(f"{PREFIX}docket:") for key in redis_client.scan_iter()}
    assert left <= {"stream", "leases:redelivery-sweep"}
    assert redis_client.xinfo_consumers(STREAM, GROUP) == []
    assert redis_client.memory_usage(STREAM) < 20_000


class _Trap:
    """What unpickling makes a file of."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self._path,)


async def test_what_others_write_as_arguments_is_not_unpickled(
    redis_url: str, redis_client: Any, tmp_path: Path
) -> None:
    executed = Executed()
    executed.let_go()
    trap = tmp_path / "sprung"
    async with dispatcher(redis_url) as one:
        await one.submit(record("mine"))
        [(message_id, message)] = redis_client.xrange(STREAM)
        redis_client.xdel(STREAM, message_id)
        bad = pickle.dumps(_Trap(trap))
        redis_client.xadd(STREAM, {**message, b"args": bad, b"kwargs": bad})
        async with dispatcher(redis_url, executed):
            await executed.come(1)
    assert executed.begun == ["mine"]
    assert not trap.exists()
    pickle.loads(bad)
    assert trap.exists()


async def test_it_says_nothing_of_what_it_does(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    executed = Executed()
    executed.let_go()
    async with dispatcher(redis_url, executed) as one:
        await one.submit(record("quiet"))
        await executed.come(1)
    assert not [line for line in caplog.records if line.name.startswith("docket")]


def _keys_of(one: Any) -> Any:
    async def acknowledged() -> bool:
        async with one._docket.redis() as redis:
            return not await redis.exists(one._docket.runs_key("again:0:0"))

    return acknowledged()


def _is_reading(one: Any) -> Any:
    async def reads() -> bool:
        async with one._docket.redis() as redis:
            return bool(await redis.exists(one._docket.stream_key))

    return reads()
