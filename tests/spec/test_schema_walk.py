"""A schema that moves into another document means there what it meant before."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from dockrion.spec.schema_walk import moved

PLACE = "#/$defs/In"

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "leaf": {"$ref": "#/$defs/Leaf"},
        "more": {"type": "array", "items": {"$ref": "#"}},
        "either": {"anyOf": [{"$ref": "#/$defs/Leaf"}, {"type": "null"}], "default": None},
    },
    "required": ["leaf"],
    "$defs": {"Leaf": {"type": "integer"}},
}
FITS: list[Any] = [{"leaf": 1}, {"leaf": 1, "either": None, "more": [{"leaf": 2}]}]
FITS_NOT: list[Any] = [{}, {"leaf": "1"}, {"leaf": 1, "either": "x"}, {"leaf": 1, "more": [{}]}]


@pytest.mark.parametrize(
    "schema",
    [
        TREE,
        {"$id": "https://example.com/tree", **TREE},
        {"$id": "urn:example:tree", **TREE},
        {**TREE, "properties": {**TREE["properties"], "$id": {"type": "string"}}},
        {**TREE, "$defs": {"Leaf": {"$anchor": "leaf", "type": "integer"}}},
        {
            **TREE,
            "properties": {**TREE["properties"], "leaf": {"$ref": "#leaf"}},
            "$defs": {"Leaf": {"$anchor": "leaf", "type": "integer"}},
        },
        {**TREE, "$defs": {"Leaf": {"$id": "leaf", "type": "integer"}}},
    ],
)
def test_a_moved_schema_means_the_same(schema: dict[str, Any]) -> None:
    before = jsonschema_rs.Draft202012Validator(schema)
    document = {"$defs": {"In": moved(schema, PLACE)}, "$ref": PLACE}
    after = jsonschema_rs.Draft202012Validator(document)
    for value in FITS:
        assert before.is_valid(value)
        assert after.is_valid(value)
    for value in FITS_NOT:
        assert not before.is_valid(value)
        assert not after.is_valid(value)


def test_references_lead_to_the_new_place_and_nothing_else_changes() -> None:
    leaf = f"{PLACE}/$defs/Leaf"
    assert moved({"$id": "https://example.com/tree", **TREE}, PLACE) == {
        **TREE,
        "properties": {
            "leaf": {"$ref": leaf},
            "more": {"type": "array", "items": {"$ref": PLACE}},
            "either": {"anyOf": [{"$ref": leaf}, {"type": "null"}], "default": None},
        },
    }


def test_names_and_data_that_look_like_references_are_none() -> None:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"$ref": {"type": "string"}, "$anchor": {"const": {"$ref": "#/a"}}},
        "default": {"$ref": "#/a"},
        "enum": [{"$ref": "#/a", "$id": "x"}],
    }
    assert moved(schema, PLACE) == schema


def test_a_schema_that_names_parts_of_itself_stays_as_it_is_under_an_id() -> None:
    schema = {"$ref": "#a", "$defs": {"A": {"$anchor": "a"}}}
    assert moved(schema, PLACE) == {"$id": "In", **schema}
    assert moved({"$id": "own", **schema}, PLACE) == {"$id": "own", **schema}


def test_the_schema_that_is_moved_is_not_changed() -> None:
    before = {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}
    moved(before, PLACE)
    assert before == {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}}
