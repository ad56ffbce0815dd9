"""Fixtures of the chaos tests: a cluster on each backend that processes can share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.redis_server import RedisServer

from .cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    name = "on_redis" if request.param == "redis" else "on_sqlite"
    return request.getfixturevalue(name)


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path)
    yield one
    one.close()


@pytest.fixture
def on_redis(tmp_path: Path) -> Iterator[Cluster]:
    """With a Redis of its own, which keeps what it has confirmed, whatever is done to it."""
    with RedisServer() as redis:
        one = Cluster(tmp_path, redis)
        yield one
        one.close()


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path, memory=True)
    yield one
    one.close()


@pytest.fixture(params=["memory", "sqlite", pytest.param("redis", marks=pytest.mark.redis)])
def any_cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster for tests of one process, on each backend."""
    name = {"memory": "in_memory", "sqlite": "on_sqlite", "redis": "on_redis"}[request.param]
    return request.getfixturevalue(name)
