"""Direct streams that are cut: a client that sends its POST again goes on, whichever replica it reaches."""

from __future__ import annotations

import json
import random
from contextlib import ExitStack

import pytest

from tests.e2e.cutting import cutting
from tests.e2e.readers import Job, read_resuming_with_fetch_event_source

from .conftest import Pair
from .following import check_run

SEED = 20250101
JOBS = 8
TOKENS = 60


@pytest.mark.node
def test_a_post_that_is_sent_again_after_each_cut_goes_on_with_its_run_on_another_replica(
    pair: Pair,
) -> None:
    chance = random.Random(SEED)
    one, two, cluster = pair
    with ExitStack() as stack:
        jobs: list[Job] = []
        for _ in range(JOBS):
            cuts = [chance.randrange(4000) for _ in range(chance.randrange(2, 6))]
            url = stack.enter_context(cutting(one.port, cuts, two.port))
            jobs.append(Job(url + "/invoke/stream", {"tokens": TOKENS, "pause": 0.01}))
        results = read_resuming_with_fetch_event_source(jobs)
    run_ids: list[str] = []
    for events in results:
        run_ids.append(json.loads(events[0].data)["run_id"])
        assert [event.id for event in events] == [f"{run_ids[-1]}:{n}" for n in range(TOKENS + 2)]
        assert [event.event for event in events] == ["started", *["token"] * TOKENS, "complete"]
    assert [cluster.starts()[run_id] for run_id in run_ids] == [1] * JOBS
    check_run(two, run_ids[0])
