"""Counting calls: never more than the rate in any stretch of time, in bounded memory."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockrion.auth.rates import MemoryRateLimiter, Rate, RateTable, Verdict
from dockrion.auth.sqlite_rates import SqliteRateLimiter
from dockrion.backends.sqlite import Database
from tests.auth.clock import Clock
from tests.auth.shared import SHARED, Shared


def limiter(clock: Clock, *, max_callers: int = 100) -> MemoryRateLimiter:
    return MemoryRateLimiter(clock=clock, max_callers=max_callers)


@pytest.fixture(params=list(SHARED))
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def hits(rate: Rate, times: Iterable[float], kind: str = "memory") -> list[Verdict]:
    """Return the verdicts of calls at these times."""
    clock = Clock(1000.0)

    async def all_of_them() -> list[Verdict]:
        verdicts: list[Verdict] = []
        async with SHARED[kind]() as shared:
            counted = shared.limiter(clock)
            for time in times:
                clock.now = time
                verdicts.append(await counted.hit("a", rate))
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


def test_a_burst_at_the_edge_of_a_window_does_not_double_the_rate(kind: str) -> None:
    verdicts = hits(Rate(3, 60), [59.9, 59.9, 59.9, 60.1, 61, 119.8, 119.95], kind)
    assert [verdict.allowed for verdict in verdicts] == [True] * 3 + [False] * 3 + [True]


def test_a_verdict_says_what_is_left_and_when_the_oldest_call_stops_to_count(kind: str) -> None:
    verdicts = hits(Rate(2, 60), [0, 10.5, 30.2, 60], kind)
    assert verdicts == [
        Verdict(True, remaining=1, reset_seconds=60),
        Verdict(True, remaining=0, reset_seconds=50),
        Verdict(False, remaining=0, reset_seconds=30),
        Verdict(True, remaining=0, reset_seconds=11),
    ]


def test_who_waits_as_long_as_it_is_told_is_let_in(kind: str) -> None:
    times = [0.3, 0.4]
    for _ in range(5):
        times.append(times[-1] + hits(Rate(1, 1), times, kind)[-1].reset_seconds)
    verdicts = hits(Rate(1, 1), times, kind)
    assert [verdict.allowed for verdict in verdicts] == [True, False] + [True] * 5


def test_refused_calls_do_not_count(kind: str) -> None:
    verdicts = hits(Rate(1, 60), [0, *range(1, 60), 60], kind)
    assert [verdict.allowed for verdict in verdicts] == [True] + [False] * 59 + [True]


RATES = st.builds(Rate, st.sampled_from([1, 2, 7, 128, 129, 300]), st.sampled_from([1, 60]))
STEP = st.tuples(
    st.integers(1, 200), st.sampled_from([0, 0.001, 0.003, 0.3, 0.995, 1, 13, 59.9, 60])
)
STEPS = st.lists(STEP, max_size=20)


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


@settings(max_examples=15, deadline=None)
@given(rate=RATES, steps=st.lists(STEP, max_size=6))
@example(rate=Rate(1, 60), steps=[(1, 0.3), (1, 59.9), (1, 60), (2, 0)])
def test_a_file_counts_as_memory_does(rate: Rate, steps: list[tuple[int, float]]) -> None:
    times: list[float] = []
    now = 0.0
    for burst, step in steps:
        times += [now] * burst
        now += step
    assert hits(rate, times, "sqlite") == hits(rate, times, "memory")


async def test_each_caller_and_each_rate_has_a_count_of_its_own(shared: Shared) -> None:
    counted = shared.limiter(Clock(1000.0))
    assert (await counted.hit("a", Rate(1, 60))).allowed
    assert (await counted.hit("b", Rate(1, 60))).allowed
    assert (await counted.hit("a", Rate(1, 3600))).allowed
    assert not (await counted.hit("a", Rate(1, 60))).allowed


async def test_of_many_calls_at_once_as_many_as_the_rate_are_allowed(shared: Shared) -> None:
    counted = shared.limiter(Clock(1000.0))
    verdicts = await asyncio.gather(*(counted.hit("a", Rate(7, 60)) for _ in range(30)))
    assert sum(verdict.allowed for verdict in verdicts) == 7


async def test_a_key_may_be_any_text(shared: Shared) -> None:
    counted = shared.limiter(Clock(1000.0))
    for key in ("", "k" * 60_000, "\udcff", "\x00", "é"):
        assert (await counted.hit(key, Rate(1, 60))).allowed
        assert not (await counted.hit(key, Rate(1, 60))).allowed


async def test_processes_share_the_counts_of_a_file(tmp_path: Path) -> None:
    here, there = Database(tmp_path / "r.db"), Database(tmp_path / "r.db")
    await here.open()
    await there.open()
    limiters = [SqliteRateLimiter(here), SqliteRateLimiter(there)]
    allowed = [(await limiters[n % 2].hit("a", Rate(3, 60))).allowed for n in range(6)]
    assert allowed == [True] * 3 + [False] * 3
    await here.close()
    await there.close()


async def callers(database: Database) -> list[str]:
    rows = await database.read(lambda db: db.execute("SELECT key FROM callers").fetchall())
    return [key.decode() for (key,) in rows]


async def test_a_flood_of_callers_takes_bounded_space_in_a_file(tmp_path: Path) -> None:
    database = Database(tmp_path / "r.db")
    await database.open()
    clock = Clock(1000.0)
    counted = SqliteRateLimiter(database, clock=clock, max_callers=50)
    rate = Rate(1, 86400)
    assert (await counted.hit("attacker", rate)).allowed
    for index in range(200):
        clock.now += 0.001
        await counted.hit(f"other {index}", rate)
        clock.now += 0.001
        assert not (await counted.hit("attacker", rate)).allowed
    assert len(await callers(database)) <= 100
    clock.now += 86401
    for _ in range(60):
        await counted.hit("late", rate)
    assert await callers(database) == ["late"]
    await database.close()


async def test_a_clock_that_was_set_back_refuses_for_no_longer_than_a_window(
    tmp_path: Path,
) -> None:
    database = Database(tmp_path / "r.db")
    await database.open()
    clock = Clock(100_000.0)
    counted = SqliteRateLimiter(database, clock=clock)
    assert (await counted.hit("a", Rate(1, 60))).allowed
    clock.now = 1000.0
    assert (await counted.hit("a", Rate(1, 60))) == Verdict(False, 0, 60)
    clock.now += 60
    assert (await counted.hit("a", Rate(1, 60))).allowed
    await database.close()


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
