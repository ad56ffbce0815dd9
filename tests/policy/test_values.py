"""Redaction of plain JSON data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.policy.redaction import RedactionRules
from dockrion.policy.values import is_large, redact_value

CARD = RedactionRules([r"\b\d{13,16}\b"])
EMAIL = RedactionRules([r"[\w.]+@[\w.]+"])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ("a b@c.d", "a [REDACTED]"),
        ({"to": ["b@c.d", {"cc": "x"}]}, {"to": ["[REDACTED]", {"cc": "x"}]}),
        ({"b@c.d": 1}, {"[REDACTED]": 1}),
        ({"b@c.d": 1, "e@f.g": 2}, {"[REDACTED]": 1, "[REDACTED] 2": 2}),
        ({"e@f.g": 2, "[REDACTED]": 1}, {"[REDACTED] 2": 2, "[REDACTED]": 1}),
        ([True, None, 1, 1.5, "é"], [True, None, 1, 1.5, "é"]),
    ],
)
def test_strings_and_keys_at_any_depth(value: Any, redacted: Any) -> None:
    assert redact_value(value, EMAIL.redact) == redacted


@pytest.mark.parametrize("number", [4111111111111111, -4111111111111111, 4.111111111111111e15])
def test_a_number_whose_digits_are_a_match(number: float) -> None:
    assert redact_value({"card": number}, CARD.redact) == {"card": "[REDACTED]"}


def test_a_number_of_more_digits_than_python_writes() -> None:
    assert redact_value(10**5000, CARD.redact) == "[REDACTED]"


@given(JSON)
def test_what_holds_no_match_is_the_very_same_object(value: Any) -> None:
    rules = RedactionRules(["\ue000no such text"])
    assert redact_value(value, rules.redact) is value


@given(JSON)
def test_nothing_of_a_match_is_left(value: Any) -> None:
    rules = RedactionRules(["[a-z0-9]"])
    left = repr(redact_value(value, rules.redact))
    for word in ("True", "False", "None"):
        left = left.replace(word, "")
    assert not rules.matches(left.replace("\\x", "").replace("\\u", "").replace("\\U", "")) or any(
        mark in left for mark in ("\\", "\x00")
    )


@dataclass
class Message:
    text: str


@pytest.mark.parametrize(
    "value",
    [
        "x" * 20_000,
        {"a": ["x" * 9000, {"b": "x" * 9000}]},
        {"x" * 20_000: 1},
        list(range(2000)),
        Message("x" * 20_000),
        (Message("x" * 9000), Message("x" * 9000)),
        b"x" * 20_000,
    ],
)
def test_what_is_large(value: Any) -> None:
    assert is_large(value)


@pytest.mark.parametrize("value", [None, 1, {}, "x" * 1000, {"a": ["b", Message("c")]}])
def test_what_is_small(value: Any) -> None:
    assert not is_large(value)


def test_looking_at_what_holds_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)
    assert is_large(value)
