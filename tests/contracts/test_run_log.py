"""What every run log must do; one suite, all implementations."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.model import Event, Token
from dockrion.runs.log import Clock, RunLog, UnkeptLog

LOGS: dict[str, Callable[[], RunLog]] = {"unkept": lambda: UnkeptLog(Clock())}
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=10)


def events(count: int) -> list[Event]:
    return [Token(str(number)) for number in range(count)]


@pytest.mark.parametrize("make", [make for make in LOGS.values() if make().immediate])
@given(sizes=SIZES)
def test_numbers_go_on_without_a_gap(make: Callable[[], RunLog], sizes: list[int]) -> None:
    log = make()
    expected = 0
    for size in sizes:
        batch = log.append_now(events(size))
        assert batch.first == expected
        assert batch.events == events(size)
        expected += size


@pytest.mark.parametrize("make", LOGS.values(), ids=LOGS)
async def test_append_numbers_on_where_it_stopped(make: Callable[[], RunLog]) -> None:
    log = make()
    firsts = [(await log.append(events(size))).first for size in (3, 1, 2)]
    assert firsts == [0, 3, 4]


@pytest.mark.parametrize("make", LOGS.values(), ids=LOGS)
async def test_timestamps_are_utc_in_iso_8601_and_do_not_go_back(
    make: Callable[[], RunLog],
) -> None:
    log = make()
    stamps = [(await log.append(events(1))).timestamp for _ in range(50)]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", stamp) for stamp in stamps)
    assert stamps == sorted(stamps)
