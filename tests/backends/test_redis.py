"""The connection to Redis: what it refuses, and what it does when Redis goes away."""

from __future__ import annotations

import logging
from collections.abc import Generator
from time import monotonic
from typing import Any

import anyio
import pytest

from dockrion.backends.base import BackendError
from dockrion.backends.redis import RedisBackend, Script
from dockrion.backends.redis_url import RedisUrl
from dockrion.errors import ValidationError
from tests.contracts.run_stores import Calls, until
from tests.redis_server import RedisServer, redis_server
from tests.relay import relay_to

pytestmark = pytest.mark.redis

ECHO = Script("return ARGV[1]")
SECRET = "s3cret-of-mine"


@pytest.fixture
def server() -> Generator[RedisServer]:
    with redis_server() as server:
        yield server


async def refusal(url: str, *, seconds: float = 5.0) -> Exception:
    backend = RedisBackend(url, seconds=seconds)
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
    server.stop()
    error = await refusal(server.url)
    assert isinstance(error, BackendError)
    assert str(server.path) in str(error)


async def test_a_redis_that_says_nothing_is_not_waited_for(server: RedisServer) -> None:
    async with relay_to(server.path) as relay:
        relay.freeze()
        began = monotonic()
        error = await refusal(f"unix://{relay.path}", seconds=0.3)
        assert "in time" in str(error)
        assert monotonic() - began < 3


async def test_a_wrong_password_is_refused() -> None:
    with redis_server(requirepass="right") as server:
        for url in (server.url, f"{server.url}?password={SECRET}"):
            error = await refusal(url)
            assert isinstance(error, ValidationError)
            assert "refuses the user or the password" in str(error)
        backend = RedisBackend(f"{server.url}?password=right")
        await backend.open()
        await backend.close()


async def test_a_user_that_may_not_do_what_is_needed_is_refused_by_name(
    server: RedisServer,
) -> None:
    server.client().execute_command(
        "ACL", "SETUSER", "ann", "on", f">{SECRET}", "~*", "&*", "+@all", "-ping"
    )
    error = await refusal(f"{server.url}?username=ann&password={SECRET}")
    assert isinstance(error, ValidationError)
    assert "PING" in str(error)


async def test_a_user_that_may_not_ask_for_the_policy_is_warned_of(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.client().execute_command(
        "ACL", "SETUSER", "ann", "on", f">{SECRET}", "~*", "&*", "+@all", "-info"
    )
    backend = RedisBackend(f"{server.url}?username=ann&password={SECRET}")
    with caplog.at_level(logging.WARNING):
        await backend.open()
    await backend.close()
    assert [record.message for record in caplog.records] == [
        "redis does not say what it is, so its version and its maxmemory-policy are not checked"
    ]


async def test_a_policy_that_drops_keys_is_refused() -> None:
    with redis_server(maxmemory_policy="allkeys-lru") as server:
        error = await refusal(server.url)
    assert isinstance(error, ValidationError)
    assert "allkeys-lru" in str(error)
    assert "noeviction" in str(error)


async def test_a_cluster_is_refused() -> None:
    with redis_server(cluster_enabled="yes") as server:
        error = await refusal(server.url)
    assert isinstance(error, ValidationError)
    assert "cluster" in str(error)


async def test_a_redis_that_is_too_old_is_refused(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockrion.backends.redis._OLDEST", (99, 0))
    error = await refusal(server.url)
    assert "too old" in str(error)


# What happens later


@pytest.fixture
async def backend(server: RedisServer) -> Any:
    backend = RedisBackend(server.url, seconds=1.0)
    await backend.open()
    yield backend
    await backend.close()


async def test_many_calls_at_once_share_a_connection(
    server: RedisServer, backend: RedisBackend
) -> None:
    replies: dict[int, bytes] = {}

    async def ask(number: int) -> None:
        lane = number % 2 == 0
        replies[number] = await backend.run(ECHO, (), (number,), only_reads=lane)

    async with anyio.create_task_group() as tasks:
        for number in range(500):
            tasks.start_soon(ask, number)
    assert replies == {number: str(number).encode() for number in range(500)}
    own = 1
    assert len(server.client().client_list()) - own <= 3


async def test_a_full_redis_is_named(server: RedisServer, backend: RedisBackend) -> None:
    server.client().config_set("maxmemory", "1mb")
    with pytest.raises(BackendError, match="maxmemory"):
        await backend.call("SET", "key", b"x" * 100_000)
    with pytest.raises(BackendError, match="maxmemory"):
        await backend.run(Script("return redis.call('SET', 'key', ARGV[1])"), (), (b"x" * 9,))
    server.client().config_set("maxmemory", "0")
    await backend.call("SET", "key", "x")


async def test_a_redis_that_has_become_a_replica_is_named(
    server: RedisServer, backend: RedisBackend
) -> None:
    server.client().execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(BackendError, match="replica"):
        await backend.call("SET", "key", "x")


async def test_it_goes_on_by_itself_after_redis_was_restarted(
    server: RedisServer, backend: RedisBackend
) -> None:
    assert await backend.run(ECHO, (), ("a",)) == b"a"
    server.stop()
    with pytest.raises(BackendError, match="cannot be reached"):
        await backend.check()
    server.start()
    assert await backend.run(ECHO, (), ("b",)) == b"b"
    replies = await anyio.to_thread.run_sync(
        lambda: backend.run_from_thread(ECHO, [((), ("c",)), ((), ("d",))], seconds=5)
    )
    assert replies == [b"c", b"d"]


async def test_a_restart_between_two_calls_is_not_noticed(
    server: RedisServer, backend: RedisBackend
) -> None:
    await backend.check()
    server.stop()
    server.start()
    await backend.check()


async def test_whoever_calls_a_frozen_redis_hears_of_it_in_time(server: RedisServer) -> None:
    async with relay_to(server.path) as relay:
        backend = RedisBackend(f"unix://{relay.path}", seconds=0.3)
        await backend.open()
        relay.freeze()
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
                lambda: backend.run_from_thread(ECHO, [((), ("c",))], seconds=0.3)
            )
        relay.thaw()
        await backend.check()
        await backend.close()


# Messages


async def test_messages_come_to_all_who_subscribed(
    server: RedisServer, backend: RedisBackend
) -> None:
    first, second, other = Calls(), Calls(), Calls()
    await backend.subscribe("a", first)
    await backend.subscribe("a", second)
    await backend.subscribe("b", other)
    server.client().publish("a", "news")
    await first.come()
    await second.come()
    assert (first.seen, other.seen) == ([b"news"], [])
    backend.unsubscribe("a", first)
    server.client().publish("a", "more")
    await second.come(1)
    assert first.seen == [b"news"]
    with pytest.raises(ValueError, match="already"):
        await backend.subscribe("b", other)


async def test_400_subscribers_share_one_connection(
    server: RedisServer, backend: RedisBackend
) -> None:
    calls = [Calls() for _ in range(400)]
    async with anyio.create_task_group() as tasks:
        for number, one in enumerate(calls):
            tasks.start_soon(backend.subscribe, f"c{number}", one)
    assert server.client().publish("c399", "x") == 1
    await calls[399].come()
    own = 1
    assert len(server.client().client_list()) - own <= 2


async def test_a_channel_that_is_left_and_taken_again_loses_nothing(
    server: RedisServer, backend: RedisBackend
) -> None:
    calls = Calls()
    for number in range(50):
        await backend.subscribe("a", calls)
        server.client().publish("a", str(number))
        await calls.come(number)
        backend.unsubscribe("a", calls)
    assert calls.seen == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize("how", ["restarted", "cut", "frozen"])
async def test_who_may_have_missed_something_is_called(server: RedisServer, how: str) -> None:
    async with relay_to(server.path) as relay:
        backend = RedisBackend(f"unix://{relay.path}", seconds=1.0)
        await backend.open()
        calls = Calls()
        await backend.subscribe("a", calls)
        if how == "restarted":
            server.stop()
            server.start()
        elif how == "cut":
            relay.cut()
        else:
            relay.freeze()
            await anyio.sleep(6)
            relay.thaw()
        await until(lambda: None in calls.seen)
        seen = len(calls.seen)
        server.client().publish("a", "news")
        await calls.come(seen)
        assert calls.seen[-1] == b"news"
        await backend.close()
