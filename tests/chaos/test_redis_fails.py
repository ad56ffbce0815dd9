"""A Redis that is killed, emptied, or out of reach: what can go on goes on, and the rest ends with a word."""

from __future__ import annotations

import time

import pytest

from tests.redis_fixtures import StartRelay

from .cluster import LEASE_SECONDS, REAPED_SECONDS, Cluster
from .following import Follower, check_run, check_whole
from .waiting import until

pytestmark = pytest.mark.redis


def test_a_restart_of_redis_within_the_lease_costs_no_run(on_redis: Cluster) -> None:
    cluster = on_redis
    replica, _ = cluster.start("replica", "worker", lease_seconds=4)
    run_ids = [replica.create({"tokens": 150, "pause": 0.01, "gate": "go"}) for _ in range(5)]
    followers = [Follower([replica], run_id) for run_id in run_ids]
    until(lambda: all(len(one.seen) > 5 for one in followers), "all runs going on")
    cluster.redis.restart()
    until(lambda: all(len(one.seen) == 151 for one in followers), "all runs going on again")
    # Created while its dispatch was away, or not: it is executed in any case.
    late = replica.create({})
    cluster.open_gate("go")
    for one in followers:
        check_whole(one.wait())
        assert one.seen[-1].event == "complete"
    assert replica.ended(late)["status"] == "COMPLETED"
    assert cluster.starts() == dict.fromkeys([*run_ids, late], 1)
    check_run(replica, run_ids[0])


def test_a_redis_that_is_away_for_longer_than_the_lease_stops_runs_and_then_all_goes_on(
    on_redis: Cluster,
) -> None:
    cluster = on_redis
    replica, worker = cluster.start("replica", "worker")
    run_id = replica.create({"tokens": 2, "gate": "never"})
    follower = Follower([replica], run_id)
    until(lambda: len(follower.seen) == 3, "the first events")
    cluster.redis.kill()
    killed = time.monotonic()
    until(lambda: replica.client.get(f"{replica.url}/ready").status_code == 503, "a word of it")
    answer = replica.client.post(f"{replica.url}/runs", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    until(lambda: cluster.notes("left", run_id), "the agent being stopped")
    # Some time passes between the stop and the note, and none must be left of the lease.
    assert time.monotonic() - killed < LEASE_SECONDS + 0.2
    cluster.redis.start()
    seen = follower.wait()
    check_whole(seen)
    assert (seen[-1].event, seen[-1].data["code"]) == ("error", "WORKER_LOST")
    until(lambda: replica.client.get(f"{replica.url}/ready").status_code == 200, "all being well")
    assert replica.ended(replica.create({}))["status"] == "COMPLETED"
    assert worker.process.poll() is None


def test_a_redis_that_is_emptied_ends_streams_and_takes_new_runs(on_redis: Cluster) -> None:
    cluster = on_redis
    replica, worker = cluster.start("replica", "worker")
    run_id = replica.create({"tokens": 2, "gate": "never"})
    follower = Follower([replica], run_id)
    until(lambda: len(follower.seen) == 3, "the first events")
    cluster.redis.empty()
    until(lambda: cluster.notes("left", run_id), "the agent being stopped")
    until(lambda: follower.refusals, "its follower being told")
    assert set(follower.refusals) == {404}
    follower.leave()
    again = replica.create({"tokens": 2})
    assert replica.ended(again, seconds=REAPED_SECONDS)["status"] == "COMPLETED"
    check_run(replica, again)
    assert "Traceback" not in worker.log + replica.log


def test_a_worker_that_is_cut_off_stops_and_does_no_harm_when_it_is_back(
    on_redis: Cluster, relay_without_loop: StartRelay
) -> None:
    cluster = on_redis
    between = relay_without_loop(cluster.redis)
    [replica] = cluster.start("replica", max_attempts=2)
    cluster.reach_by(cluster.redis.relay_url(between))
    [cut_off] = cluster.start("worker", max_attempts=2)
    run_id = replica.create({"tokens": 2, "gate": "go", "then": 3})
    follower = Follower([replica], run_id)
    until(lambda: len(follower.seen) == 3, "the first events")
    cluster.reach_by(cluster.redis.url())
    [other] = cluster.start("worker", max_attempts=2)
    between.freeze()
    first, second = cluster.started(run_id, times=2)
    assert (first.pid, second.pid) == (cut_off.pid, other.pid)
    [left] = until(lambda: cluster.notes("left", run_id), "the first attempt being stopped")
    assert left.pid == cut_off.pid
    between.thaw()
    cluster.open_gate("go")
    seen = follower.wait()
    check_whole(seen)
    assert seen[-1].event == "complete"
    assert [one.data.get("attempt") for one in seen if one.event == "started"] == [None, 2]
    # What was cut off works again.
    other.kill()
    assert replica.ended(replica.create({}), seconds=REAPED_SECONDS)["status"] == "COMPLETED"
    assert cut_off.process.poll() is None
