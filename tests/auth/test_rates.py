"""Counting calls: never more than the rate in any stretch of time, in bounded memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockrion.auth.rates import MemoryRateLimiter, Rate, RateTable, Verdict
from tests.auth.clock import Clock


def limiter(clock: Clock, *, max_callers: int = 100) -> MemoryRateLimiter:
    return MemoryRateLimiter(clock=clock, max_callers=max_callers)


def hits(
    rate: Rate, times: Iterable[float], *, key: str = "a", into: MemoryRateLimiter | None = None
) -> list[Verdict]:
    clock = Clock(1000.0)
    counted = into or limiter(clock)

    async def all_of_them() -> list[Verdict]:
        verdicts: list[Verdict] = []
        for time in times:
            clock.now = time
            verdicts.append(await counted.hit(key, rate))
        return verdicts

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/second", Rate(1, 1)),
        ("60/minute", Rate(60, 60)),
        ("7/hour", Rate(7, 3600)),
        ("100000/day", Rate(100_000, 86400)),
    ],
)
def test_a_rate_is_read_from_the_dockfile(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate


def test_a_burst_at_the_edge_of_a_window_does_not_double_the_rate() -> None:
    verdicts = hits(Rate(3, 60), [59.9, 59.9, 59.9, 60.1, 61, 119.8, 119.95])
    assert [verdict.allowed for verdict in verdicts] == [True] * 3 + [False] * 3 + [True]


def test_a_verdict_says_what_is_left_and_when_the_oldest_call_stops_to_count() -> None:
    verdicts = hits(Rate(2, 60), [0, 10.5, 30.2, 60])
    assert verdicts == [
        Verdict(True, remaining=1, reset_seconds=60),
        Verdict(True, remaining=0, reset_seconds=50),
        Verdict(False, remaining=0, reset_seconds=30),
        Verdict(True, remaining=0, reset_seconds=11),
    ]


def test_who_waits_as_long_as_it_is_told_is_let_in() -> None:
    times = [0.3, 0.4]
    for _ in range(5):
        times.append(times[-1] + hits(Rate(1, 1), times)[-1].reset_seconds)
    assert [verdict.allowed for verdict in hits(Rate(1, 1), times)] == [True, False] + [True] * 5


def test_refused_calls_do_not_count() -> None:
    verdicts = hits(Rate(1, 60), [0, *range(1, 60), 60])
    assert [verdict.allowed for verdict in verdicts] == [True] + [False] * 59 + [True]


RATES = st.builds(Rate, st.sampled_from([1, 2, 7, 128, 129, 300]), st.sampled_from([1, 60]))
STEPS = st.lists(
    st.tuples(st.integers(1, 200), st.sampled_from([0, 0.001, 0.003, 0.3, 0.995, 1, 13, 59.9, 60])),
    max_size=20,
)


# Of a large count, the last of the calls that are put together decides.
@example(rate=Rate(129, 1), steps=[(1, 0.003), (128, 0.998), (128, 0)])
@given(rate=RATES, steps=STEPS)
def test_no_stretch_of_time_has_more_calls_than_the_rate(
    rate: Rate, steps: list[tuple[int, float]]
) -> None:
    times: list[float] = []
    now = 0.0
    for burst, step in steps:
        times += [now + index * 0.000001 for index in range(burst)]
        now = times[-1] + step
    allowed = [t for t, verdict in zip(times, hits(rate, times), strict=True) if verdict.allowed]
    for first, one_too_many in zip(allowed, allowed[rate.calls :], strict=False):
        assert one_too_many - first >= rate.seconds


@given(rate=RATES, steps=STEPS)
def test_a_call_is_refused_only_for_calls_of_about_one_window(
    rate: Rate, steps: list[tuple[int, float]]
) -> None:
    times: list[float] = []
    now = 0.0
    for burst, step in steps:
        times += [now] * burst
        now += step
    verdicts = hits(rate, times)
    allowed = [t for t, verdict in zip(times, verdicts, strict=True) if verdict.allowed]
    window = rate.seconds * (1 + 1 / 100)
    for time, verdict in zip(times, verdicts, strict=True):
        if not verdict.allowed:
            assert sum(time - window <= t <= time for t in allowed) >= rate.calls


def test_each_caller_has_a_count_of_its_own() -> None:
    clock = Clock(1000.0)
    counted = limiter(clock)
    assert hits(Rate(1, 60), [0], key="a", into=counted)[0].allowed
    assert hits(Rate(1, 60), [0], key="b", into=counted)[0].allowed
    assert not hits(Rate(1, 60), [0], key="a", into=counted)[0].allowed


async def test_a_flood_of_callers_takes_bounded_memory_and_frees_no_one_who_keeps_calling() -> None:
    counted = limiter(Clock(1000.0), max_callers=50)
    rate = Rate(1, 86400)
    assert (await counted.hit("attacker", rate)).allowed
    for index in range(500):
        await counted.hit(f"other {index}", rate)
        assert not (await counted.hit("attacker", rate)).allowed
    assert len(counted._windows[rate]) == 50


async def test_callers_whose_calls_are_too_old_to_count_are_forgotten() -> None:
    clock = Clock(1000.0)
    counted = limiter(clock)
    for index in range(20):
        await counted.hit(f"early {index}", Rate(1, 60))
    clock.now += 60
    await counted.hit("late", Rate(1, 60))
    assert list(counted._windows[Rate(1, 60)]) == ["late"]


async def test_a_large_count_and_a_long_key_take_no_more_memory_than_small_ones() -> None:
    clock = Clock(1000.0)
    counted = limiter(clock)
    rate = Rate(1_000_000, 60)
    for _ in range(20_000):
        clock.now += 0.002
        await counted.hit("k" * 60_000, rate)
    ((key, window),) = counted._windows[rate].items()
    assert len(key) == 64
    assert len(window._calls) <= 130
    assert sys.getsizeof(key) < 200


@pytest.mark.parametrize(
    ("roles", "rate"),
    [
        ((), Rate(5, 60)),
        (("unlisted",), Rate(5, 60)),
        (("slow",), Rate(1, 3600)),
        (("slow", "quick"), Rate(1, 1)),
        (("burst", "quick"), Rate(60, 60)),
        (("slow", "unlisted"), Rate(1, 3600)),
    ],
)
def test_the_highest_rate_of_the_roles_counts(roles: tuple[str, ...], rate: Rate) -> None:
    table = RateTable(
        {"default": "5/minute", "slow": "1/hour", "quick": "1/second", "burst": "60/minute"}
    )
    assert table.of(roles) == rate


def test_without_a_default_a_caller_of_no_listed_role_has_no_limit() -> None:
    assert RateTable({"free": "1/hour"}).of(("paid",)) is None
