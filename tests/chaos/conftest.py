"""Fixtures of the chaos tests: a cluster on each backend that processes can share."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.redis_server import RedisServer

from .cluster import Cluster, Node

if TYPE_CHECKING:
    from collections.abc import Iterator


# Written before it is confirmed, which a kill cannot undo; forced onto the disk now and then.
KEEPS = ("appendfsync everysec",)
REDIS = pytest.param("redis", marks=pytest.mark.redis)
# Where SQLite shows the same: each start of a process on Redis takes its time.
AT_NIGHT_ON_REDIS = pytest.mark.parametrize(
    "cluster",
    ["sqlite", pytest.param("redis", marks=[pytest.mark.redis, pytest.mark.nightly])],
    indirect=True,
)


class Pair(NamedTuple):
    """A server that works, one that only serves, and where they run."""

    worker: Node
    replica: Node
    cluster: Cluster


@pytest.fixture(scope="session", params=["sqlite", REDIS])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    """For tests that end no process; their runs are theirs alone."""
    with ExitStack() as stack:
        is_redis = request.param == "redis"
        redis = stack.enter_context(RedisServer(*KEEPS)) if is_redis else None
        cluster = Cluster(tmp_path_factory.mktemp("pair"), redis)
        stack.callback(cluster.close)
        worker, replica = cluster.start("both", "replica", on_disconnect="continue")
        yield Pair(worker, replica, cluster)
        for node in (worker, replica):
            node.stop()
        assert [node.stopped() for node in (worker, replica)] == [0, 0]
        assert not any("Traceback" in node.log for node in (worker, replica))


@pytest.fixture(params=["sqlite", REDIS])
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
    with RedisServer(*KEEPS) as redis:
        one = Cluster(tmp_path, redis)
        yield one
        one.close()


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Cluster]:
    one = Cluster(tmp_path, memory=True)
    yield one
    one.close()


@pytest.fixture(params=["memory", "sqlite", REDIS])
def any_cluster(request: pytest.FixtureRequest) -> Cluster:
    """A cluster for tests of one process, on each backend."""
    name = {"memory": "in_memory", "sqlite": "on_sqlite", "redis": "on_redis"}[request.param]
    return request.getfixturevalue(name)
