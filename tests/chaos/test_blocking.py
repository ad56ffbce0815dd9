"""Agents that block for longer than a lease keep their runs: heartbeats do not depend on the event loop."""

from __future__ import annotations

from .cluster import LEASE_SECONDS
from .conftest import Pair
from .following import check_run


def test_an_agent_that_blocks_the_event_loop_for_longer_than_the_lease_keeps_its_run(
    pair: Pair,
) -> None:
    _, replica, cluster = pair
    run_id = replica.create({"block": 1.5 * LEASE_SECONDS, "then": 3})
    assert replica.ended(run_id)["status"] == "COMPLETED"
    events = [one.event for one in check_run(replica, run_id)]
    assert events == ["started", *["token"] * 3, "complete"]
    assert cluster.starts()[run_id] == 1
