"""A schema that is made of a value takes that value, and a Dockfile takes the schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.runs.schema import Schema
from dockrion.spec import DockSpec
from dockrion.spec.document import read_document
from dockrion.spec.inferring import io_schema_of, schema_of
from dockrion.spec.schema_rules import complaints
from dockrion.spec.variables import fill

_names = st.text("ab $\\{}X:#'\"-\n é", max_size=5) | st.sampled_from(["null", "on", "1", "${X}"])
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=8,
)


@settings(deadline=None, max_examples=50)
@given(value=_values, other=_values)
def test_what_is_pasted_into_a_dockfile_is_valid_and_takes_the_value(
    value: Any, other: Any
) -> None:
    document = read_document(io_schema_of(value, other))

    assert document.problems == []
    section = _filled(document.data)["io_schema"]
    for schema, one in ((section["input"], value), (section["output"], other)):
        assert complaints(schema) == []
        assert Schema(schema).fits(one)


def _filled(data: Any) -> Any:
    """Return what a Dockfile makes of the section: variables are looked for in values, not in names."""
    match data:
        case dict():
            return {name: _filled(value) for name, value in data.items()}
        case list():
            return [_filled(item) for item in data]
        case str():
            filled = fill(data, {})
            assert not filled.missing
            return filled.text
        case _:
            return data


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (None, {"type": "null"}),
        (True, {"type": "boolean"}),
        (1, {"type": "integer"}),
        (1.5, {"type": "number"}),
        ("x", {"type": "string"}),
        ({}, {"type": "object"}),
        ([], {"type": "array", "items": {}}),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}),
        ([1, None, "x"], {"type": "array", "items": {"type": ["integer", "null", "string"]}}),
        (
            {"a": {"b": []}, " ": 1},
            {
                "type": "object",
                "properties": {
                    "a": {
                        "type": "object",
                        "properties": {"b": {"type": "array", "items": {}}},
                        "required": ["b"],
                    }
                },
                "required": ["a"],
            },
        ),
        (
            [[{}, {"a": 1}]],
            {
                "type": "array",
                "items": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"a": {"type": "integer"}}},
                },
            },
        ),
        (
            [{"a": 1, "b": None}, {"a": "x"}, [1], [None]],
            {
                "type": "array",
                "items": {
                    "anyOf": [
                        {
                            "type": "object",
                            "properties": {
                                "a": {"type": ["integer", "string"]},
                                "b": {"type": "null"},
                            },
                            "required": ["a"],
                        },
                        {"type": "array", "items": {"type": ["integer", "null"]}},
                    ]
                },
            },
        ),
    ],
)
def test_the_schema_says_what_the_value_is_made_of(value: Any, schema: Any) -> None:
    assert schema_of(value) == schema


def test_depth_has_an_end_before_that_of_a_dockfile() -> None:
    value: Any = 1
    for _ in range(128):
        value = {"deeper": [value]}

    text = io_schema_of(value, None)

    assert read_document(text).problems == []


def test_the_section_is_the_top_of_the_text() -> None:
    spec = {"version": "1.0", "agent": {"name": "x", "handler": "a:b"}, "expose": {}}
    text = io_schema_of({"query": "x"}, {"answer": None})

    assert text.startswith("io_schema:\n  input:\n    type: object\n")
    DockSpec.model_validate({**spec, **read_document(text).data})
