"""Followers of one run: many, late, slow, cut off, on several replicas; each sees every event once."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .conftest import Pair
from .following import Follower, check_run, check_whole
from .waiting import until

SEED = 20250101
TOKENS = 400


def cuts(chance: random.Random) -> Iterator[int | None]:
    """Cut some connections, anywhere in a frame, and leave the rest alone."""
    for _ in range(chance.randrange(1, 6)):
        yield chance.randrange(200, 12_000)
    while True:
        yield None


def test_followers_that_join_at_random_points_of_two_replicas_see_every_event_once(
    pair: Pair,
) -> None:
    chance = random.Random(SEED)
    one, two, cluster = pair
    run_id = one.create({"tokens": TOKENS, "pause": 0.002, "gate": "joined", "then": 20})
    first = Follower([one, two], run_id, cuts=cuts(chance))
    joins = sorted(chance.randrange(TOKENS) for _ in range(9))
    followers = [first]
    for join in joins:
        until(lambda: len(first.seen) > join, f"event {join}")  # noqa: B023
        followers.append(
            Follower(chance.choice([[one, two], [two, one]]), run_id, cuts=cuts(chance))
        )
    until(lambda: len(first.seen) == TOKENS + 1, "all that comes before the gate")
    cluster.open_gate("joined")
    for follower in followers:
        seen = follower.wait()
        check_whole(seen)
        assert len(seen) == TOKENS + 22
        assert follower.gaps == []
    assert sum(follower.connections for follower in followers) > len(followers)
    check_run(one, run_id)


def test_nobody_waits_for_a_slow_follower_who_gets_all_the_same(pair: Pair) -> None:
    node, replica, cluster = pair
    run_id = node.create({"gate": "slow", "then": 3000})
    slow = [Follower([one], run_id, events_a_second=100) for one in (node, replica)]
    quick = [Follower([one], run_id) for one in (node, replica)]
    until(lambda: all(one.seen for one in (*slow, *quick)), "all being there")
    cluster.open_gate("slow")
    for one in quick:
        check_whole(one.wait(seconds=10))
        assert len(one.seen) == 3002
    assert max(len(one.seen) for one in slow) < 2500
    for one in slow:
        one.hurry()
        check_whole(one.wait())
        assert (len(one.seen), one.gaps) == (3002, [])


def test_a_slow_follower_is_told_of_what_has_been_trimmed(pair: Pair) -> None:
    node, replica, cluster = pair
    run_id = node.create({"gate": "trimmed", "then": 30_000})
    slow = [Follower([one], run_id, events_a_second=10) for one in (node, replica)]
    until(lambda: all(one.seen for one in slow), "all being there")
    cluster.open_gate("trimmed")
    node.ended(run_id)
    for one in slow:
        one.hurry()
        one.wait()
        missing = {n for first, last in one.gaps for n in range(first, last + 1)}
        sequences = [seen.sequence for seen in one.seen]
        assert missing
        assert sorted([*missing, *sequences]) == list(range(30_002))
        assert sequences == sorted(sequences)
