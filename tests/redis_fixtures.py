"""Fixtures of tests on a real Redis, which carry the mark `redis`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, closing
from itertools import count
from typing import Any, Protocol

import pytest

from tests.missing import not_tested
from tests.redis_server import DATABASES, RedisServer, Relay, lasting_redis, redis_program

_databases = count()


class StartRedis(Protocol):
    def __call__(self, *lines: str, password: str = "", tls: bool = False) -> RedisServer: ...


class StartRelay(Protocol):
    def __call__(self, server: RedisServer) -> Relay: ...


@pytest.fixture(scope="session")
def redis_server() -> RedisServer:
    """The server of all tests that do it no harm. What is in it is not kept on a disk."""
    return lasting_redis()


@pytest.fixture
def redis_database(redis_server: RedisServer) -> int:
    """An empty database of the shared server. Messages on channels have none: they reach all who listen."""
    database = next(_databases) % DATABASES
    with closing(redis_server.client(database)) as client:
        client.flushdb()
    return database


@pytest.fixture
def redis_url(redis_server: RedisServer, redis_database: int) -> str:
    return redis_server.url(database=redis_database)


@pytest.fixture
def redis_client(redis_server: RedisServer, redis_database: int) -> Iterator[Any]:
    """A client for threads of that database."""
    with closing(redis_server.client(redis_database)) as client:
        yield client


@pytest.fixture
def own_redis() -> Iterator[StartRedis]:
    """Start servers for this test alone, which may do to them what it likes."""
    with ExitStack() as stack:
        yield lambda *lines, password="", tls=False: stack.enter_context(
            RedisServer(*lines, password=password, tls=tls)
        )


@pytest.fixture
async def relay() -> AsyncGenerator[StartRelay]:
    """Start relays to servers.

    They end before the test's loop does: uvloop waits, when it is closed, for connections that are still open, such as one
    that was given up while nothing came through.
    """
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Relay(server))


@pytest.fixture
def relay_without_loop() -> Iterator[StartRelay]:
    """Start relays to servers, for tests that have no loop."""
    with ExitStack() as stack:
        yield lambda server: stack.enter_context(Relay(server))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("redis") is not None and redis_program() is None:
        not_tested("redis-server is not installed")
