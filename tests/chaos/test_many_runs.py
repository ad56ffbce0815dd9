"""Many runs in a short time: none is lost or run twice, and memory stays as it is."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from .cluster import FINAL, Cluster, Node
from .waiting import until

CALLERS = 4
# What allocators and caches of the interpreter may take in passing.
SLACK_BYTES = 24 << 20


@pytest.mark.parametrize(
    ("warm_up", "runs", "seconds"),
    [(150, 300, 30), pytest.param(3000, 10_000, 60, marks=pytest.mark.nightly)],
)
def test_many_runs_are_all_run_once_and_leave_no_memory_behind(
    any_cluster: Cluster, warm_up: int, runs: int, seconds: float
) -> None:
    cluster = any_cluster
    cluster.forget_soon()
    [node] = cluster.start("both")
    create_all(node, warm_up)
    finished(cluster, warm_up)
    before = node.resident_bytes
    began = time.monotonic()
    run_ids = create_all(node, runs)
    created = time.monotonic() - began
    assert created < seconds
    finished(cluster, warm_up + runs)
    assert node.resident_bytes - before < SLACK_BYTES
    starts = cluster.starts()
    assert len(starts) == warm_up + runs
    assert set(starts.values()) == {1}
    until(lambda: state(node, run_ids[-1]) in (*FINAL, None), "the last end")
    assert state(node, run_ids[-1]) in ("COMPLETED", None)


def create_all(node: Node, runs: int) -> list[str]:
    with (
        httpx.Client(trust_env=False, timeout=30) as client,
        ThreadPoolExecutor(CALLERS) as callers,
    ):

        def create(number: int) -> str:
            answer = client.post(f"{node.url}/runs", json={"name": number, "tokens": 3})
            assert answer.status_code == 202, answer.text
            return answer.json()["run_id"]

        return list(callers.map(create, range(runs)))


def finished(cluster: Cluster, runs: int) -> None:
    until(lambda: len(cluster.notes("ended")) >= runs, f"{runs} ends", seconds=90)


def state(node: Node, run_id: str) -> str | None:
    """In memory, runs are forgotten as soon as they have ended."""
    answer = node.client.get(f"{node.url}/runs/{run_id}")
    return answer.json()["status"] if answer.status_code == 200 else None
