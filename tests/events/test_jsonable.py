from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections import OrderedDict, UserDict, UserString, deque
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.jsonable import encode, encode_text, plain


class Colour(enum.Enum):
    RED = "red"


class Model(pydantic.BaseModel):
    amount: decimal.Decimal
    when: datetime.datetime
    tags: set[str]


@dataclasses.dataclass
class Point:
    x: object


class Scalar:
    """As numpy's scalars and arrays look."""

    dtype = "float32"

    def tolist(self) -> float:
        return 1.5


class Whole(int):
    pass


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("-inf"), None),
        (decimal.Decimal("1.50"), 1.5),
        (decimal.Decimal("NaN"), None),
        ({"a": decimal.Decimal("Infinity"), "b": "NaN"}, {"a": None, "b": "NaN"}),
        (NOON, "2026-01-02T12:00:00Z"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        ({1}, [1]),
        (frozenset({"x"}), ["x"]),
        ((1, 2), [1, 2]),
        (deque([1, 2]), [1, 2]),
        (b"ab", "YWI="),
        (bytearray(b"ab"), "YWI="),
        (memoryview(b"ab"), "YWI="),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        (Point(x=Point(x=1)), {"x": {"x": 1}}),
        (Scalar(), 1.5),
        (Whole(3), 3),
        (10**40, 10**40),
        ([10**5000, -1], ["<int>", -1]),
        ([True, "\ud800"], [True, "\ufffd"]),
        (Unprintable(), "<Unprintable>"),
        ("a\ud800b", "a\ufffdb"),
        ({"k\udfff": ["\ud83d\ude00"]}, {"k\ufffd": ["😀"]}),
        (
            Model(amount=decimal.Decimal("2.5"), when=NOON, tags={"t"}),
            {"amount": 2.5, "when": "2026-01-02T12:00:00Z", "tags": ["t"]},
        ),
        (ValueError("boom"), "boom"),
    ],
)
def test_every_python_object_becomes_strict_json(value: Any, expected: Any) -> None:
    assert json.loads(encode(value), parse_constant=pytest.fail) == expected


def _subclass_of(kind: type[Any]) -> type[Any]:
    return type(f"Sub{kind.__name__}", (kind,), {})


SUBCLASSED: list[tuple[Any, Any]] = [
    (_subclass_of(str)("hi"), "hi"),
    (_subclass_of(int)(3), 3),
    (_subclass_of(float)(1.5), 1.5),
    (_subclass_of(bytes)(b"ab"), "YWI="),
    (_subclass_of(bytearray)(b"ab"), "YWI="),
    (_subclass_of(list)([1]), [1]),
    (_subclass_of(tuple)((1,)), [1]),
    (_subclass_of(dict)(a=1), {"a": 1}),
    (_subclass_of(set)([1]), [1]),
    (_subclass_of(frozenset)([1]), [1]),
    (_subclass_of(deque)([1]), [1]),
    (_subclass_of(decimal.Decimal)("1.5"), 1.5),
    (_subclass_of(datetime.datetime)(2026, 1, 2, 12, tzinfo=datetime.UTC), "2026-01-02T12:00:00Z"),
    (_subclass_of(datetime.date)(2026, 1, 2), "2026-01-02"),
    (_subclass_of(datetime.time)(12, 30), "12:30:00"),
    (_subclass_of(datetime.timedelta)(seconds=3), "PT3S"),
    (UserString("hi"), "hi"),
]


@pytest.mark.parametrize(("value", "expected"), SUBCLASSED)
def test_a_subclass_is_written_as_what_it_is_a_kind_of(value: Any, expected: Any) -> None:
    assert json.loads(encode(value)) == expected
    # Beside a value that takes the careful way, too.
    assert json.loads(encode({"it": value, "\ud800": 1}))["it"] == expected


def test_a_cycle_is_named_and_ends() -> None:
    cycle: list[Any] = [1]
    cycle.append({"again": cycle, "point": Point(x=cycle)})
    assert plain(cycle) == [1, {"again": "<cycle>", "point": {"x": "<cycle>"}}]


def test_the_same_object_twice_is_no_cycle() -> None:
    shared = {"a": "\ud800"}
    assert plain([shared, shared]) == [{"a": "\ufffd"}, {"a": "\ufffd"}]


def test_a_value_nested_thousands_deep_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert "<nested too deep>" in encode(deep).decode()


def test_plain_is_a_copy() -> None:
    given_data = {"a": [1]}
    copy = plain(given_data)
    given_data["a"].append(2)
    assert copy == {"a": [1]}


@given(st.text())
def test_any_text_becomes_a_json_string(text: str) -> None:
    decoded = json.loads(encode_text(text))
    assert decoded == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_encoding_what_was_decoded_changes_nothing(value: Any) -> None:
    once = encode(value)
    assert encode(json.loads(once)) == once
