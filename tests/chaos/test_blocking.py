"""Agents that block for longer than a lease keep their runs: heartbeats do not depend on the event loop."""

from __future__ import annotations

import pytest

from .cluster import LEASE_SECONDS, Cluster
from .following import check_run


@pytest.mark.parametrize("handler", ["handle", "sync_handle"])
def test_an_agent_that_blocks_for_longer_than_the_lease_keeps_its_run(
    cluster: Cluster, handler: str
) -> None:
    replica, _ = cluster.start("replica", "worker", handler=handler, max_attempts=2)
    run_id = replica.create({"block": 2 * LEASE_SECONDS, "then": 3})
    assert replica.ended(run_id)["status"] == "COMPLETED"
    assert [one.event for one in check_run(replica, run_id)] == [
        "started",
        *["token"] * 3,
        "complete",
    ]
    assert cluster.starts() == {run_id: 1}
