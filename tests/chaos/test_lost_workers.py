"""Workers that are killed and frozen: their runs are taken over or ended, and nothing is run or written twice."""

from __future__ import annotations

import time

import pytest

from .cluster import REAPED_SECONDS, Cluster
from .following import Follower, check_run, check_whole
from .waiting import until


@pytest.mark.nightly
def test_the_run_of_a_killed_worker_is_taken_over_where_attempts_are_left(cluster: Cluster) -> None:
    one, two = cluster.start("both", "both", max_attempts=2)
    run_id = one.create({"tokens": 3, "gate": "go", "then": 2})
    [note] = cluster.started(run_id)
    worker = cluster.worker_of(note)
    other = two if worker is one else one
    follower = Follower([other], run_id)
    until(lambda: len(follower.seen) == 4, "the first events")
    worker.kill()
    killed = time.monotonic()
    notes = cluster.started(run_id, times=2)
    assert time.monotonic() - killed < REAPED_SECONDS
    assert [note.pid for note in notes] == [worker.pid, other.pid]
    cluster.open_gate("go")
    seen = follower.wait()
    check_whole(seen)
    starts = [one for one in seen if one.event == "started"]
    assert [one.data.get("attempt") for one in starts] == [None, 2]
    assert check_run(other, run_id) == seen
    assert seen[-1].event == "complete"


def test_a_frozen_worker_that_wakes_up_does_no_harm_and_its_successor_may_die(
    cluster: Cluster,
) -> None:
    replica, one, two = cluster.start("replica", "worker", "worker", max_attempts=3)
    run_id = replica.create({"tokens": 3, "gate": "go", "then": 5})
    [note] = cluster.started(run_id)
    frozen = cluster.worker_of(note)
    successor = two if frozen is one else one
    follower = Follower([replica], run_id)
    until(lambda: len(follower.seen) == 4, "the first events")
    cluster.freeze(frozen)
    cluster.started(run_id, times=2)
    # Its first attempt may go on, and has events to write; the second one may not.
    cluster.open_gate("go", frozen.pid)
    frozen.thaw()
    until(lambda: "run was taken from this worker" in frozen.log, "the frozen worker giving up")
    assert not [seen for seen in follower.seen if "and" in str(seen.data.get("content"))]
    successor.kill()
    killed = time.monotonic()
    notes = cluster.started(run_id, times=3)
    assert time.monotonic() - killed < REAPED_SECONDS
    assert [note.pid for note in notes] == [frozen.pid, successor.pid, frozen.pid]
    seen = follower.wait()
    check_whole(seen)
    assert check_run(replica, run_id) == seen
    attempt = ["started", *["token"] * 3]
    assert [one.event for one in seen] == [*attempt * 3, *["token"] * 5, "complete"]
    assert [one.data.get("attempt") for one in seen if one.event == "started"] == [None, 2, 3]
    assert cluster.starts() == {run_id: 3}
