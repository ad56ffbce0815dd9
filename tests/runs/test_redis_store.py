"""What the Redis store does beyond the contract: what is left in Redis, and what happens when that goes away."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from typing import Any

import anyio
import pytest

from dockrion.backends.redis import RedisConnections
from dockrion.errors import ValidationError
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import LeaseLostError, StoreError, StoreRules
from dockrion.runs.store.redis import RedisStore, prefix_of
from tests.contracts.run_stores import (
    DONE,
    RULES,
    Calls,
    all_entries,
    claimed,
    entry,
    new_run,
    question,
    rules,
    status_of,
    until,
)
from tests.redis_fixtures import StartRedis, StartRelay
from tests.redis_server import RedisServer

pytestmark = pytest.mark.redis


@pytest.fixture
def server(own_redis: StartRedis) -> RedisServer:
    return own_redis()


def do(server: RedisServer, *command: str) -> Any:
    """Have the server do something, as its owner."""
    with closing(server.client()) as client:
        return client.execute_command(*command)


@asynccontextmanager
async def opened(
    url: str, limits: StoreRules = RULES, *, seconds: float = 2.0
) -> AsyncGenerator[RedisStore]:
    store = RedisStore(RedisConnections(url, seconds=seconds), limits, prefix=prefix_of("agent"))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(server: RedisServer) -> AsyncGenerator[RedisStore]:
    async with opened(server.url()) as store:
        yield store


def keys(server: RedisServer) -> dict[str, int]:
    """Return all keys with their seconds to live."""
    with closing(server.client()) as client:
        return {key.decode(): client.ttl(key) for key in client.keys("*")}


async def test_a_redis_that_was_emptied_knows_no_run_and_nothing_hangs(
    server: RedisServer, store: RedisStore
) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0)])
    server.empty()
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(1)])
    with pytest.raises(LeaseLostError):
        await store.finish(claim, [entry(1)], RunStatus.COMPLETED, DONE)
    beats = await anyio.to_thread.run_sync(store.heartbeat, [claim])
    assert beats[0].is_lost
    assert await store.get("r1") is None
    assert await store.read("r1", 0) is None
    assert await store.overdue(10) == []
    assert keys(server) == {}
    assert (await store.create(new_run())).is_new


async def test_every_key_goes_by_itself_at_some_time(
    server: RedisServer, store: RedisStore
) -> None:
    await store.create(new_run("accepted", idempotency_key="k"))
    running = await claimed(store, "running")
    await store.append(running, [entry(0)])
    waiting = await claimed(store, "waiting")
    await store.interrupt(waiting, [entry(0)], [question("i")], claimed=True)
    await store.resume("waiting", {"i": 1}, still=())
    done = await claimed(store, "done")
    await store.finish(done, [entry(0)], RunStatus.COMPLETED, DONE)
    live = keys(server)
    forever = {key for key, seconds in live.items() if seconds < 0}
    # One of each agent, and what is in them is taken out of them.
    indices = ("due", "ended", "waiting:ACCEPTED", "waiting:INTERRUPTED")
    assert forever <= {f"dockrion:{{agent}}:{name}" for name in indices}
    ended = {key for key, seconds in live.items() if 0 <= seconds <= RULES.ttl_seconds}
    assert ended == {"dockrion:{agent}:run:done", "dockrion:{agent}:events:done"}


async def test_what_has_expired_leaves_nothing_once_it_is_swept(server: RedisServer) -> None:
    async with opened(server.url(), rules(ttl_seconds=0.05)) as store:
        for number in range(30):
            claim = await claimed(store, f"r{number}", idempotency_key=f"k{number}")
            await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)

        async def swept() -> bool:
            await store.sweep()
            return keys(server) == {}

        await until(swept)


async def test_trimming_leaves_no_more_in_redis_than_is_kept(server: RedisServer) -> None:
    async with opened(server.url(), rules(max_events=100)) as store:
        claim = await claimed(store)
        for first in range(0, 2000, 10):
            await store.append(claim, [entry(first, 10)])
        assert do(server, "XLEN", "dockrion:{agent}:events:r1") == 10
        assert (await all_entries(store))[0].first == 1900


async def test_400_idle_readers_and_heartbeats_need_three_connections(
    server: RedisServer, store: RedisStore
) -> None:
    claim = await claimed(store)
    calls = [Calls() for _ in range(400)]

    async def follow(one: Calls) -> None:
        await store.watch("r1", one)
        assert await store.read("r1", 0) is not None

    async with anyio.create_task_group() as tasks:
        for one in calls:
            tasks.start_soon(follow, one)
    await store.append(claim, [entry(0)])
    await until(lambda: all(one.seen for one in calls))
    await anyio.to_thread.run_sync(store.heartbeat, [claim])
    await until(lambda: server.connections == 3)


async def test_a_user_without_a_command_is_refused_by_name(server: RedisServer) -> None:
    for command, channels in (("-xadd", "&*"), ("-evalsha", "&*"), ("-subscribe", "&*"), ("", "")):
        parts = [
            "ACL",
            "SETUSER",
            "ann",
            "reset",
            "on",
            ">s3cret",
            "~*",
            "+@all",
            command,
            channels,
        ]
        do(server, *filter(None, parts))
        store = RedisStore(
            RedisConnections(server.url(user="ann", password="s3cret")),
            RULES,
            prefix=prefix_of("agent"),
        )
        with pytest.raises(ValidationError, match=r"^streaming\.redis\.url: ") as raised:
            await store.open()
        assert command.removeprefix("-").upper() in str(raised.value)
        assert command or "channel" in str(raised.value)
        assert "s3cret" not in str(raised.value)


async def test_a_user_for_the_keys_of_the_agent_alone_is_enough(server: RedisServer) -> None:
    do(
        server,
        *[
            "ACL",
            "SETUSER",
            "ann",
            "reset",
            "on",
            ">s3cret",
            "~dockrion:{agent}:*",
            "&dockrion:{agent}:*",
            "+@all",
        ],
    )
    async with opened(server.url(user="ann", password="s3cret")) as store:
        claim = await claimed(store, idempotency_key="k")
        await store.watch("r1", Calls())
        await store.watch_orders(Calls())
        await store.append(claim, [entry(0)])
        await store.finish(claim, [entry(1)], RunStatus.COMPLETED, DONE)
        await store.sweep()
        assert len((await store.list(owner_id=None, status=None, cursor=None, limit=5)).records)


async def test_a_partition_is_an_error_in_time_and_afterwards_the_same_call_may_be_made_again(
    server: RedisServer, relay: StartRelay
) -> None:
    way = relay(server)
    async with opened(server.relay_url(way), seconds=0.3) as store:
        claim = await claimed(store)
        calls = Calls()
        await store.watch("r1", calls)
        way.freeze()
        began = time.monotonic()
        with pytest.raises(StoreError):
            await store.append(claim, [entry(0)])
        with pytest.raises(StoreError):
            await store.watch("r2", Calls())
        assert time.monotonic() - began < 3
        way.thaw()
        await store.append(claim, [entry(0)])
        await store.append(claim, [entry(0), entry(1)])
        await store.finish(claim, [entry(2)], RunStatus.COMPLETED, DONE)
        assert await all_entries(store) == [entry(0), entry(1), entry(2)]
        assert await status_of(store) == RunStatus.COMPLETED


async def test_a_claim_whose_answer_is_lost_is_undone_once_redis_can_be_reached(
    server: RedisServer, relay: StartRelay
) -> None:
    way = relay(server)
    async with opened(server.relay_url(way), seconds=0.3) as store, opened(server.url()) as other:
        await store.create(new_run())
        way.freeze()
        with pytest.raises(StoreError):
            await store.claim("r1")
        way.thaw()
        # Somebody is asked to look after it, long before it would be overdue.
        await until(lambda: other.overdue(1))
        record = await other.get("r1")
        assert record is not None
        assert (record.status, record.attempt) == (RunStatus.ACCEPTED, 0)


async def test_a_full_redis_refuses_events_and_keeps_what_it_has(
    server: RedisServer, store: RedisStore
) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0)])
    do(server, "CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(StoreError, match="maxmemory"):
        await store.append(claim, [entry(1, size=10_000)])
    do(server, "CONFIG", "SET", "maxmemory", "0")
    assert await all_entries(store) == [entry(0)]
    await store.append(claim, [entry(1)])
