from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import json
import pathlib
import sys
import uuid
from collections import OrderedDict, UserDict, UserString, deque
from typing import Any

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events import jsonable
from dockrion.events.jsonable import MAX_DEPTH, TOO_DEEP, encode, encode_text, plain


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
        ([10**5000, -1], ["1" + "0" * 5000, -1]),
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


def _nested(depth: int, inner: Any = None, *, text: str = "") -> Any:
    for _ in range(depth):
        inner = {"a": [text, inner]}
    return inner


@pytest.mark.parametrize("text", ["", "[1]", "]", "{", '"\\"['])
@pytest.mark.parametrize("depth", [200, 5000, 100_000])
def test_a_value_nested_hundreds_deep_is_cut(depth: int, text: str) -> None:
    copy = plain(_nested(depth, text=text))

    for _ in range(MAX_DEPTH // 2):
        assert copy["a"][0] == text
        copy = copy["a"][1]
    assert copy == TOO_DEEP


@pytest.mark.parametrize("text", ["", "[", "}"])
def test_a_value_that_is_not_so_deep_stays(text: str) -> None:
    # As many brackets as in the deep ones, and text that looks as if it had more.
    value = [_nested(MAX_DEPTH // 2 - 1, text=text)] * 20

    assert plain(value) == value


def test_a_value_that_is_given_deep_down_in_the_agents_own_calls_is_cut() -> None:
    def call(depth: int) -> bytes:
        return call(depth - 1) if depth else encode({"\ud800": _nested(60)})

    left = sys.getrecursionlimit() - len(inspect.stack())
    assert TOO_DEEP.encode() in call(left - 100)


class Broken(UserDict[str, Any]):
    def __iter__(self) -> Any:
        raise KeyError

    def __str__(self) -> str:
        return "broken"


def test_a_mapping_that_cannot_be_read_becomes_its_text() -> None:
    assert plain([1, Broken(), 2]) == [1, "broken", 2]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (decimal.Decimal("1E+300"), 1e300),
        (decimal.Decimal("1E+400"), "1E+400"),
        (decimal.Decimal("-1E+400"), "-1E+400"),
        (decimal.Decimal("9" * 400 + ".5"), "9" * 400 + ".5"),
        (decimal.Decimal(10**5000), "1" + "0" * 5000),
        (decimal.Decimal("1E-400"), 0.0),
        (-(2**64), -(2**64)),
        (10**400, 10**400),
        (10**5000, "1" + "0" * 5000),
        (-(10**5000), "-1" + "0" * 5000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_that_cannot_be_read_back_becomes_its_text(number: Any, expected: Any) -> None:
    assert plain(number) == expected
    assert plain({"a": [number], "b": 10**40}) == {"a": [expected], "b": 10**40}


def test_a_decimal_may_be_a_key() -> None:
    assert plain({decimal.Decimal("1.50"): 1, "a": 2}) == {"1.50": 1, "a": 2}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1E+400"])
def test_text_that_looks_like_an_odd_number_takes_the_quick_way(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonable, "_careful", pytest.fail)

    assert plain({text: [text, decimal.Decimal("1.5"), float("nan")]}) == {text: [text, 1.5, None]}


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
        st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_encoding_what_was_decoded_changes_nothing(value: Any) -> None:
    once = encode(plain(value))
    assert encode(msgspec.json.decode(once)) == encode(json.loads(once)) == once
