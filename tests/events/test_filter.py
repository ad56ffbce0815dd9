from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.errors import ValidationError
from dockrion.events.filter import EventsFilter
from dockrion.events.model import ALWAYS_SENT, CONFIGURABLE

NAMES = st.sampled_from(sorted(CONFIGURABLE | ALWAYS_SENT | {"custom", "custom:a", "custom:b_1"}))
TYPES = [*sorted(CONFIGURABLE | ALWAYS_SENT), "custom:a", "custom:b_1", "custom:other"]


@pytest.mark.parametrize(
    ("allowed", "sent"),
    [
        ("minimal", set()),
        ("chat", {"token"}),
        ("debug", CONFIGURABLE),
        ("all", {*CONFIGURABLE, "custom:a", "custom:b_1", "custom:other"}),
        (None, {*CONFIGURABLE, "custom:a", "custom:b_1", "custom:other"}),
        (["token", "custom:a"], {"token", "custom:a"}),
        (["custom"], {"custom:a", "custom:b_1", "custom:other"}),
        (["started", "complete"], set()),
        ([], set()),
    ],
)
def test_a_preset_or_list_sends_what_it_names_and_always_the_always_ones(
    allowed: str | list[str] | None, sent: set[str]
) -> None:
    events_filter = EventsFilter(allowed)
    assert {name for name in TYPES if events_filter.is_allowed(name)} == sent | ALWAYS_SENT
    assert events_filter.token == ("token" in sent)
    assert events_filter.heartbeat == ("heartbeat" in sent)


@pytest.mark.parametrize(
    "allowed", ["none", ["tokens"], ["custom:"], ["custom:1a"], ["custom:a-b"]]
)
def test_a_name_that_is_no_event_type_is_refused(allowed: str | list[str]) -> None:
    with pytest.raises(ValidationError, match=r"streaming\.events\.allowed"):
        EventsFilter(allowed)


@given(st.lists(NAMES))
def test_filter_is_idempotent(allowed: list[str]) -> None:
    once = EventsFilter(allowed)
    twice = EventsFilter(once.allowed)
    assert once == twice
    assert [once.is_allowed(name) for name in TYPES] == [twice.is_allowed(name) for name in TYPES]
