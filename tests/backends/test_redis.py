"""The connection to Redis: what it refuses, and what it does when Redis goes away."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from time import monotonic
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from redis.exceptions import ResponseError

from dockrion.backends.base import BackendError
from dockrion.backends.redis import RedisConnections, Script
from dockrion.backends.redis_url import RedisUrl
from dockrion.errors import ValidationError
from tests.contracts.run_stores import Calls, until
from tests.redis_fixtures import StartRedis, StartRelay
from tests.redis_server import RedisServer

pytestmark = pytest.mark.redis

ECHO = Script("return ARGV[1]")
SECRET = "s3cret-of-mine"


@pytest.fixture
def server(own_redis: StartRedis) -> RedisServer:
    return own_redis()


def do(server: RedisServer, *command: str) -> Any:
    """Have the server do something, as its owner."""
    with closing(server.client()) as client:
        return client.execute_command(*command)


async def refusal(url: str, *, seconds: float = 5.0) -> Exception:
    backend = RedisConnections(url, seconds=seconds)
    with pytest.raises((ValidationError, BackendError)) as raised:
        await backend.open()
    assert SECRET not in str(raised.value)
    assert raised.value.message.startswith("streaming.redis.url: ")
    return raised.value


# URLs


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", "localhost:6379"),
        ("redis://ann:s3cret-of-mine@example.com:7000/3", "example.com:7000"),
        ("rediss://:s3cret-of-mine@example.com?ssl_cert_reqs=none", "example.com:6379"),
        ("unix:///run/redis.sock?db=2&password=s3cret-of-mine", "/run/redis.sock"),
        ("redis://h?max_connections=1&decode_responses=yes&protocol=3&timeout=1", "h:6379"),
    ],
)
def test_urls_may_have_what_redis_py_takes(url: str, place: str) -> None:
    assert RedisUrl(url).place == place


@pytest.mark.parametrize(
    "url",
    [
        "http://:s3cret-of-mine@example.com",
        "redis://:s3cret-of-mine@example.com:port",
        "redis://:s3cret-of-mine@example.com?strange=1",
        "redis://:s3cret-of-mine@example.com?db=x",
        "unix://",
    ],
)
def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError, match=r"^streaming\.redis\.url: ") as raised:
        RedisUrl(url)
    assert SECRET not in str(raised.value)


# What is refused at the start


async def test_a_redis_that_is_not_there_is_named(server: RedisServer) -> None:
    server.kill()
    error = await refusal(server.url())
    assert isinstance(error, BackendError)
    assert str(server.socket) in str(error)


async def test_a_redis_that_says_nothing_is_not_waited_for(
    server: RedisServer,
) -> None:
    server.freeze()
    began = monotonic()
    error = await refusal(server.url(), seconds=0.3)
    assert "in time" in str(error)
    assert monotonic() - began < 3


async def test_a_wrong_password_is_refused(own_redis: StartRedis) -> None:
    server = own_redis(password="right")
    for secret in ("", SECRET):
        error = await refusal(server.url(password=secret))
        assert "refuses the user or the password" in str(error)
    backend = RedisConnections(server.url())
    await backend.open()
    await backend.close()


async def test_a_policy_that_drops_keys_is_refused(own_redis: StartRedis) -> None:
    error = await refusal(own_redis("maxmemory-policy allkeys-lru").url())
    assert isinstance(error, ValidationError)
    assert "allkeys-lru" in str(error)
    assert "noeviction" in str(error)


async def test_a_cluster_is_refused(own_redis: StartRedis) -> None:
    # Clusters have one database.
    error = await refusal(own_redis("cluster-enabled yes", "databases 1").url())
    assert isinstance(error, ValidationError)
    assert "cluster" in str(error)


async def test_a_redis_that_is_too_old_is_refused(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockrion.backends.redis._OLDEST", (99, 0))
    error = await refusal(server.url())
    assert "too old" in str(error)


# What happens later


@pytest.fixture
async def backend(server: RedisServer) -> Any:
    backend = RedisConnections(server.url())
    await backend.open()
    yield backend
    await backend.close()


async def test_many_calls_at_once_share_a_connection(
    server: RedisServer, backend: RedisConnections
) -> None:
    replies: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        replies[number] = await backend.run(ECHO, [], (number,))

    async with anyio.create_task_group() as tasks:
        for number in range(500):
            tasks.start_soon(ask, number)
    assert replies == {number: str(number).encode() for number in range(500)}
    await until(lambda: server.connections == 2)


async def test_a_full_redis_is_named(server: RedisServer, backend: RedisConnections) -> None:
    do(server, "CONFIG", "SET", "maxmemory", "1mb")
    with pytest.raises(BackendError, match="maxmemory"):
        await backend.call("SET", "key", b"x" * 100_000)
    with pytest.raises(BackendError, match="maxmemory"):
        await backend.run(Script("return redis.call('SET', 'key', ARGV[1])"), [], (b"x" * 9,))
    do(server, "CONFIG", "SET", "maxmemory", "0")
    await backend.call("SET", "key", "x")


async def test_a_redis_that_has_become_a_replica_is_named(
    server: RedisServer, backend: RedisConnections
) -> None:
    do(server, "REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(BackendError, match="replica"):
        await backend.call("SET", "key", "x")


async def test_it_goes_on_by_itself_after_redis_was_restarted(
    server: RedisServer, backend: RedisConnections
) -> None:
    assert await backend.run(ECHO, [], ("a",)) == b"a"
    server.kill()
    with pytest.raises(BackendError, match="cannot be reached"):
        await backend.check()
    server.start()
    assert await backend.run(ECHO, [], ("b",)) == b"b"
    reply = await anyio.to_thread.run_sync(
        lambda: backend.run_from_thread(ECHO, [([], ("c",))], seconds=5)
    )
    assert reply == [b"c"]


async def test_a_restart_between_two_calls_is_not_noticed(
    server: RedisServer, backend: RedisConnections
) -> None:
    await backend.check()
    server.restart()
    await backend.check()


async def test_whoever_calls_a_frozen_redis_hears_of_it_in_time(
    server: RedisServer,
) -> None:
    backend = RedisConnections(server.url(), seconds=0.3)
    await backend.open()
    server.freeze()
    began = monotonic()
    errors: list[BackendError] = []

    async def ask() -> None:
        with pytest.raises(BackendError) as raised:
            await backend.check()
        errors.append(raised.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(ask)
    assert len(errors) == 200
    assert monotonic() - began < 2
    with pytest.raises(BackendError):
        await anyio.to_thread.run_sync(
            lambda: backend.run_from_thread(ECHO, [([], ("c",))], seconds=0.3)
        )
    server.thaw()
    await backend.check()
    await backend.close()


# How many connections there are


class Pool:
    """A backend some of whose calls last, and those that do."""

    def __init__(self, server: RedisServer, backend: RedisConnections, tasks: TaskGroup) -> None:
        self._server = server
        self._backend = backend
        self._tasks = tasks
        self.lasting: list[str] = []
        self.ended: list[bytes] = []

    async def make_one_last(self) -> None:
        key = f"k{len(self.lasting)}"
        self.lasting.append(key)
        self._tasks.start_soon(self._last, key)
        # The loop has to turn, so that it is not sent together with the next one.
        await anyio.sleep(0)

    async def _last(self, key: str) -> None:
        self.ended.append((await self._backend.call("BLPOP", key, 0))[0])

    def held(self) -> int:
        with closing(self._server.client()) as client:
            return client.info("clients")["blocked_clients"]

    async def end_all(self) -> None:
        for key in self.lasting:
            do(self._server, "LPUSH", key, "x")
        await until(lambda: len(self.ended) == len(self.lasting))


@pytest.fixture
async def pool_of(server: RedisServer) -> Any:
    @asynccontextmanager
    async def make(size: int) -> AsyncGenerator[tuple[RedisConnections, Pool]]:
        backend = RedisConnections(server.url(), pool_size=size)
        await backend.open()
        async with anyio.create_task_group() as tasks:
            yield backend, Pool(server, backend, tasks)
        await backend.close()

    return make


async def test_a_call_that_lasts_holds_up_no_others(server: RedisServer, pool_of: Any) -> None:
    async with pool_of(2) as (backend, pool):
        await pool.make_one_last()
        await until(lambda: pool.held() == 1)
        assert await backend.run(ECHO, [], ("a",)) == b"a"
        assert server.connections == 3
        await pool.end_all()
        # The connection for messages, and the first one.
        await until(lambda: server.connections == 2)
        assert await backend.run(ECHO, [], ("b",)) == b"b"


async def test_there_are_never_more_connections_for_calls_than_were_allowed(
    server: RedisServer, pool_of: Any
) -> None:
    async with pool_of(3) as (_, pool):
        for number in range(3):
            await pool.make_one_last()
            await until(lambda so_far=number + 1: pool.held() == so_far)
        for _ in range(3):
            await pool.make_one_last()
        await anyio.sleep(0.2)
        assert (pool.held(), server.connections) == (3, 4)
        await pool.end_all()


async def test_one_connection_for_calls_is_enough(server: RedisServer, pool_of: Any) -> None:
    async with pool_of(1) as (backend, pool):
        await pool.make_one_last()
        await until(lambda: pool.held() == 1)
        with anyio.move_on_after(0.2):
            await backend.check()
            pytest.fail("it did not wait for its turn")
        assert server.connections == 2
        await pool.end_all()
        assert await backend.run(ECHO, [], ("a",)) == b"a"
        assert server.connections == 2


async def test_commands_of_one_call_keep_their_order(backend: RedisConnections) -> None:
    commands = [("RPUSH", "list", number) for number in range(200)]
    assert await backend.ask_all(commands) == [*range(1, 201)]
    numbers = await backend.call("LRANGE", "list", 0, -1)
    assert numbers == [str(number).encode() for number in range(200)]
    with pytest.raises(ResponseError):
        await backend.ask_all([("GET", "list"), ("SET", "other", "x")])
    assert await backend.call("GET", "other") == b"x"


# Messages


async def test_messages_come_to_all_who_subscribed(
    server: RedisServer, backend: RedisConnections
) -> None:
    first, second, other = Calls(), Calls(), Calls()
    await backend.subscribe("a", first)
    await backend.subscribe("a", second)
    await backend.subscribe("b", other)
    do(server, "PUBLISH", "a", "news")
    await first.come()
    await second.come()
    assert (first.seen, other.seen) == ([b"news"], [])
    backend.unsubscribe("a", first)
    do(server, "PUBLISH", "a", "more")
    await second.come(1)
    assert first.seen == [b"news"]
    with pytest.raises(ValueError, match="already"):
        await backend.subscribe("b", other)


async def test_400_subscribers_share_one_connection(
    server: RedisServer, backend: RedisConnections
) -> None:
    calls = [Calls() for _ in range(400)]
    async with anyio.create_task_group() as tasks:
        for number, one in enumerate(calls):
            tasks.start_soon(backend.subscribe, f"c{number}", one)
    assert do(server, "PUBLISH", "c399", "x") == 1
    await calls[399].come()
    assert server.connections <= 2


async def test_a_channel_that_is_left_and_taken_again_loses_nothing(
    server: RedisServer, backend: RedisConnections
) -> None:
    calls = Calls()
    for number in range(50):
        await backend.subscribe("a", calls)
        do(server, "PUBLISH", "a", str(number))
        await calls.come(number)
        backend.unsubscribe("a", calls)
    assert calls.seen == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize("how", ["restarted", "cut"])
async def test_who_may_have_missed_something_is_called(
    server: RedisServer, relay: StartRelay, how: str
) -> None:
    way = relay(server)
    backend = RedisConnections(server.relay_url(way))
    await backend.open()
    calls = Calls()
    await backend.subscribe("a", calls)
    if how == "restarted":
        server.restart()
    else:
        way.cut()
    await until(lambda: None in calls.seen)
    seen = len(calls.seen)
    do(server, "PUBLISH", "a", "news")
    await calls.come(seen)
    assert calls.seen[-1] == b"news"
    await backend.close()
