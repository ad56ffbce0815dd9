"""Processes that come and go: rolling restarts, no workers for a while, a server that dies before anybody hears of its run."""

from __future__ import annotations

import random

import pytest

from .cluster import REAPED_SECONDS, Cluster, all_ended
from .conftest import AT_NIGHT_ON_REDIS, Pair
from .following import Follower, check_run, check_whole
from .stores import create_unsubmitted

SEED = 20250101


def test_runs_wait_for_a_worker_as_long_as_there_is_none(cluster: Cluster) -> None:
    one, two, worker = cluster.start("replica", "replica", "worker", concurrency=1)
    running = one.create({"tokens": 3, "gate": "never"})
    cluster.started(running)
    follower = Follower([two], running)
    waiting = [node.create({"tokens": 2}) for node in (one, two)]
    cancelled = one.create({})
    worker.kill()
    answer = two.client.delete(f"{two.url}/runs/{cancelled}")
    assert answer.json()["status"] == "CANCELLED"
    assert [seen.event for seen in check_run(one, cancelled)] == ["cancelled"]
    assert one.ended(running, seconds=REAPED_SECONDS)["error"]["code"] == "WORKER_LOST"
    check_whole(follower.wait())
    assert check_run(one, running) == follower.seen
    # Longer than a lease: the reapers of the replicas look after them, and end none.
    assert [two.status(run_id) for run_id in waiting] == ["ACCEPTED", "ACCEPTED"]
    cluster.start("worker")
    for run_id in waiting:
        assert two.ended(run_id)["status"] == "COMPLETED"
        check_run(one, run_id)
    assert cluster.starts() == dict.fromkeys([running, *waiting], 1)


async def test_a_run_that_was_written_down_but_never_submitted_is_found(pair: Pair) -> None:
    node, _, cluster = pair
    run_id = await create_unsubmitted(cluster)
    assert node.ended(run_id, seconds=REAPED_SECONDS)["status"] == "COMPLETED"
    assert cluster.starts()[run_id] == 1


@pytest.mark.parametrize(
    ("runs", "pause"),
    [(40, 0.02), pytest.param(300, 0.05, marks=pytest.mark.nightly)],
)
def test_a_rolling_restart_loses_no_run_and_runs_none_twice(
    cluster: Cluster, runs: int, pause: float
) -> None:
    chance = random.Random(SEED)
    replicas = cluster.start("replica", "replica")
    workers = cluster.start("worker", "worker", concurrency=8)
    run_ids: list[str] = []
    for number in range(runs):
        payload = {"name": number, "tokens": chance.randrange(5, 15), "pause": pause}
        run_ids.append(chance.choice(replicas).create(payload))
    followers = [Follower(replicas, run_id) for run_id in chance.sample(run_ids, 10)]
    for node in (*workers, *replicas):
        node.stop()
        assert node.stopped() == 0, node.log
        node.restart()
    states = all_ended(replicas[0], run_ids)
    assert set(states) == set(run_ids)
    assert set(states.values()) == {"COMPLETED"}
    assert cluster.starts() == dict.fromkeys(run_ids, 1)
    for follower in followers:
        check_whole(follower.wait())
    for run_id in run_ids[::10]:
        check_run(replicas[1], run_id)
    assert not any("Traceback" in node.log for node in (*replicas, *workers))


@AT_NIGHT_ON_REDIS
def test_a_run_that_outlasts_the_grace_ends_shutting_down_or_goes_to_another_worker(
    cluster: Cluster,
) -> None:
    [worker] = cluster.start("both", grace=1)
    run_id = worker.create({"tokens": 2, "gate": "go"})
    cluster.started(run_id)
    worker.stop()
    assert worker.stopped() == 0
    [replica] = cluster.start("replica")
    seen = check_run(replica, run_id)
    assert (seen[-1].event, seen[-1].data["code"]) == ("error", "SHUTTING_DOWN")

    [other] = cluster.start("both", grace=1, max_attempts=2)
    again = replica.create({"tokens": 2, "gate": "go"})
    cluster.started(again)
    other.stop()
    assert other.stopped() == 0
    assert replica.status(again) == "ACCEPTED"
    cluster.start("both", max_attempts=2)
    cluster.started(again, times=2)
    cluster.open_gate("go")
    assert replica.ended(again)["status"] == "COMPLETED"
    starts = [
        one.data.get("attempt") for one in check_run(replica, again) if one.event == "started"
    ]
    assert starts == [None, 2]
