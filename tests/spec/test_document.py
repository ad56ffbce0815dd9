"""YAML 1.2, core schema: what scalars are, where things stand, what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.compat import StringIO

from dockrion.spec.document import core_scalar, read_document
from dockrion.spec.problems import Place, Problem

SCALARS: list[tuple[str, Any]] = [
    ("", None),
    ("~", None),
    ("null", None),
    ("Null", None),
    ("nULL", "nULL"),
    ("true", True),
    ("FALSE", False),
    ("tRUE", "tRUE"),
    ("on", "on"),
    ("yes", "yes"),
    ("no", "no"),
    ("y", "y"),
    ("0123", 123),
    ("-0", 0),
    ("+7", 7),
    ("0o17", 15),
    ("0x1F", 31),
    ("0b1", "0b1"),
    ("0o8", "0o8"),
    ("1_000", "1_000"),
    ("1e3", 1000.0),
    ("1.", 1.0),
    (".5", 0.5),
    ("-1.5E-2", -0.015),
    (".", "."),
    ("1.0.0", "1.0.0"),
    ("12:30", "12:30"),
    ("2024-01-01", "2024-01-01"),
    (".inf", math.inf),
    ("-.INF", -math.inf),
    ("inf", "inf"),
    ("nan", "nan"),
    ("9" * 5000, "9" * 5000),
]

BROKEN: list[tuple[str, str, int, int]] = [
    ("a:\n\tb: 1", "a tab cannot indent; use spaces", 2, 1),
    ("\ta: 1", "a tab cannot indent; use spaces", 1, 1),
    ("a: 'x", "found unexpected end of stream", 1, 6),
    ("a: b: c", "mapping values are not allowed here", 1, 5),
    ("a: 1\n b: 2", "mapping values are not allowed here", 2, 3),
    ("a: 1\n---\nb: 2", "there may be only one document", 2, 1),
    ("a: *b", "the alias *b has no anchor that ends before it", 1, 4),
    ("a: &x {b: *x}", "the alias *x has no anchor that ends before it", 1, 11),
    ("? [1]\n: 2", "a key must be text", 1, 3),
    ("a:\n  <<: 1", "merge keys (<<) are no part of YAML 1.2; write the keys out", 2, 3),
    ("a: !mine 1", "the tag !mine is not known", 1, 4),
    ("a: x\nb: \x07", "the character U+0007 is not allowed", 2, 4),
    ("a: " + "[" * 200 + "]" * 200, "nested more than 100 levels deep", 1, 104),
    (
        "a: [${X}]",
        "expected ',' or ']', but got '{'; inside [ ] and { } a variable needs quotes",
        1,
        6,
    ),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_a_scalar_without_quotes_is_read_as_yaml_1_2_reads_it(text: str, value: Any) -> None:
    read = core_scalar(text)
    assert (read, type(read)) == (value, type(value))
    (through_yaml,) = (read_document(f"- {text}").data,)
    assert through_yaml == [value]


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(core_scalar(".NaN"))


@pytest.mark.parametrize("written", ['"1"', "'1'", "|-\n  1", "!!str 1", "! 1"])
def test_quotes_blocks_and_the_text_tag_make_text(written: str) -> None:
    assert read_document(f"a: {written}").data == {"a": "1"}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert read_document("1: a\non: b\ntrue: c\n~: d").data == {
        "1": "a",
        "on": "b",
        "true": "c",
        "~": "d",
    }


def test_a_yaml_1_1_directive_changes_nothing() -> None:
    assert read_document("%YAML 1.1\n---\na: on").data == {"a": "on"}


@pytest.mark.parametrize(("text", "words", "line", "column"), BROKEN)
def test_what_is_no_yaml_is_one_problem_with_its_place(
    text: str, words: str, line: int, column: int
) -> None:
    document = read_document(text)
    assert document.problems == [Problem("", f"no valid YAML: {words}", line, column)]
    assert document.data is None


def test_every_key_and_value_has_its_place() -> None:
    places = read_document("# note\na:\n  b: 1\n  c:\nd: [x, {e: 2}]\n").places
    assert places == {
        (): Place((2, 1), (2, 1)),
        ("a",): Place((2, 1), (2, 1)),
        ("a", "b"): Place((3, 3), (3, 6)),
        ("a", "c"): Place((4, 3), (4, 3)),
        ("d",): Place((5, 1), (5, 4)),
        ("d", 0): Place((5, 5), (5, 5)),
        ("d", 1): Place((5, 8), (5, 8)),
        ("d", 1, "e"): Place((5, 9), (5, 12)),
    }


def test_a_duplicate_key_names_both_places_and_the_first_one_counts() -> None:
    document = read_document("a:\n  b: 1\n  c: 2\n  b: {x: [y]}\nb: 3\na: 4\n")
    assert document.data == {"a": {"b": 1, "c": 2}, "b": 3}
    assert document.problems == [
        Problem("a.b", "is given twice, first on line 2, column 3", 4, 3),
        Problem("a", "is given twice, first on line 1, column 1", 6, 1),
    ]


def test_an_alias_has_value_places_and_variables_of_its_anchor() -> None:
    document = read_document("a: &x {p: ${V}, q: 1}\n".replace("${V}", '"${V}"') + "b: *x\n")
    assert document.data["b"] == {"p": "${V}", "q": 1}
    assert document.places["b", "q"] == Place((1, 19), (1, 22))
    assert document.plain == set()
    assert read_document("a: &x ${V}\nb: *x\n").plain == {("a",), ("b",)}


def test_aliases_that_multiply_are_stopped() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (problem,) = read_document("\n".join(lines)).problems
    assert problem.message == "no valid YAML: more than 100000 values, aliases counted"


def test_only_text_keeps_scalars_as_they_stand() -> None:
    text = "a: 0123\nb: true\nc: 1.10\nd: null\ne:\nf: '1'\n"
    assert read_document(text, only_text=True).data == {
        "a": "0123",
        "b": "true",
        "c": "1.10",
        "d": None,
        "e": None,
        "f": "1",
    }


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(st.text("abc:#- '\"", max_size=4), below, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(value=VALUES)
def test_what_a_yaml_1_2_library_writes_is_read_back(value: Any) -> None:
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False  # in flow style it writes keys that it cannot read itself
    writer.dump({"value": value}, stream := StringIO())
    document = read_document(stream.getvalue())
    assert document.problems == []
    assert document.data == {"value": value}
