"""JSON Schema in the Dockfile: any keyword of draft 2020-12, and what dockrion asks beyond."""

from __future__ import annotations

from typing import Any

import pytest
from tests.spec.kit import problems_of, spec_of

OUT = "must not lead out of this schema, nothing is fetched; put what it names under `$defs`"
ROOT = "must be one of object, string, number, integer, boolean, array, null"

TAKEN: list[dict[str, Any]] = [
    {},
    *({"type": name} for name in ("object", "string", "number", "integer", "boolean", "null")),
    {"type": "array", "items": {}},
    {"type": "array", "items": False},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {"required": ["a"]},
    {"properties": {"a": {"type": ["string", "null"], "default": None}}},
    {"properties": {"a": {"type": "array", "items": {"type": "array", "items": True}}}},
    {"type": "string", "required": ["a"], "properties": {}},
    {"properties": {"at": {"type": "string", "format": "date-time"}}},
    {"properties": {"$ref": {"type": "string"}, "default": {"type": "string"}}},
    {"default": {"$ref": "https://a.example/x"}, "const": {"$ref": "other.json"}},
    {"properties": {"a": {"enum": [{"$ref": "x.json"}]}}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}},
    {"$defs": {"a": {"$anchor": "here"}}, "properties": {"x": {"$ref": "#here"}}},
    {"$id": "https://a.example/s", "$defs": {"i": {"$id": "item"}}, "allOf": [{"$ref": "item"}]},
    {"$id": "https://a.example/s", "properties": {"again": {"$ref": "https://a.example/s"}}},
    {"properties": {"again": {"$ref": "#"}}},
    {
        "allOf": [{"required": ["a"]}],
        "unevaluatedProperties": False,
        "dependentRequired": {"a": []},
    },
    {"if": {"required": ["a"]}, "then": {}, "else": False, "patternProperties": {"^x": {}}},
    {"x-own-keyword": 1, "title": "t", "examples": [1]},
]

REFUSED: list[tuple[dict[Any, Any], str]] = [
    ({"type": "objct"}, ".type: is no valid JSON Schema: must be one of object, string, number"),
    ({"type": ["object", "null"]}, f'.type: {ROOT}, got ["object", "null"]'),
    (
        {"type": None},
        '.type: is no valid JSON Schema: must be one of object, string, number, integer, boolean, array, null, or a list of these ("null" in quotes), got null',
    ),
    ({"type": "array"}, ".items: is required where `type` is array"),
    (
        {"properties": {"a": {"type": "array"}}},
        ".properties.a.items: is required where `type` is array",
    ),
    (
        {"properties": {"a": {"type": ["array", "null"]}}},
        ".properties.a.items: is required where `type` is array",
    ),
    (
        {"type": "array", "items": {"type": "array"}},
        ".items.items: is required where `type` is array",
    ),
    (
        {"properties": {"a": {}}, "required": ["a", "b"]},
        '.required[1]: must be one of `properties`, got "b"',
    ),
    (
        {"properties": {"a": {"properties": {}, "required": ["x"]}}},
        '.properties.a.required[0]: must be one of `properties`, got "x"',
    ),
    (
        {"required": ["a", "a"]},
        '.required: is no valid JSON Schema: must not have duplicates, got ["a", "a"]',
    ),
    ({"properties": {" ": {}}}, '.properties. : a property\'s name must not be blank, got " "'),
    (
        {"properties": {"a": {"properties": {"": {}}}}},
        '.properties.a.properties.: a property\'s name must not be blank, got ""',
    ),
    ({"properties": []}, ".properties: is no valid JSON Schema: must be of type object, got []"),
    (
        {"properties": {"a": 3}},
        ".properties.a: is no valid JSON Schema: must be of type boolean or object, got 3",
    ),
    ({"minLength": -1}, ".minLength: is no valid JSON Schema: must be 0 or more, got -1"),
    ({"multipleOf": 0}, ".multipleOf: is no valid JSON Schema: must be greater than 0, got 0"),
    ({"anyOf": []}, ".anyOf: is no valid JSON Schema: must not be empty, got []"),
    ({"pattern": "["}, '.pattern: is no valid JSON Schema: must be a regular expression, got "["'),
    (
        {"patternProperties": {"[": {}}},
        ".patternProperties: is no valid JSON Schema: each key must be a regular expression",
    ),
    ({"$anchor": "1 2"}, ".$anchor: is no valid JSON Schema: breaks the rule `pattern`"),
    ({"$ref": "https://a.example/x"}, f'.$ref: {OUT}, got "https://a.example/x"'),
    ({"$ref": "other.json#/a"}, f'.$ref: {OUT}, got "other.json#/a"'),
    ({"$ref": "file:///etc/passwd"}, f'.$ref: {OUT}, got "file:///etc/passwd"'),
    (
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        f'.$ref: {OUT}, got "https://json-schema.org/draft/2020-12/schema"',
    ),
    (
        {"properties": {"a": {"anyOf": [{"$ref": "http://a.example/x"}]}}},
        f'.properties.a.anyOf[0].$ref: {OUT}, got "http://a.example/x"',
    ),
    ({"$dynamicRef": "https://a.example/x#y"}, f'.$dynamicRef: {OUT}, got "https://a.example/x#y"'),
    ({"$ref": "#/$defs/a"}, '.$ref: leads nowhere in this schema, got "#/$defs/a"'),
    (
        {"properties": {"a": {"$ref": "#gone"}}},
        '.properties.a.$ref: leads nowhere in this schema, got "#gone"',
    ),
    (
        {"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#/$defs/x"}}, "$defs": {}},
        '.properties.b.$ref: leads nowhere in this schema, got "#/$defs/x"',
    ),
    ({"default": {1, 2}}, ": must be JSON: "),
    ({"properties": {"a": {"title": {1, 2}}}}, ": must be JSON: "),
    ({1: 2}, ": must be JSON: "),
]


@pytest.mark.parametrize("schema", TAKEN)
@pytest.mark.parametrize("field", ["input", "output"])
def test_a_schema_is_kept_exactly_as_it_is_written(field: str, schema: dict[str, Any]) -> None:
    spec = spec_of({f"io_schema.{field}": schema})
    assert getattr(spec.io_schema, field) == schema


@pytest.mark.parametrize(("schema", "problem"), REFUSED)
def test_what_is_no_schema_is_refused_at_the_place_of_the_fault(
    schema: dict[Any, Any], problem: str
) -> None:
    (found,) = problems_of({"io_schema.input": schema})
    assert found.startswith(f"io_schema.input{problem}")


def test_all_faults_of_a_schema_come_at_once() -> None:
    schema = {
        "properties": {"a": {"type": "array"}, "b": {"$ref": "x.json"}},
        "required": ["c", "d"],
    }
    both = problems_of({"io_schema.input": schema, "io_schema.output": {"type": ["null"]}})
    assert {problem.split(": ")[0] for problem in both} == {
        "io_schema.input.properties.a.items",
        "io_schema.input.required[0]",
        "io_schema.input.required[1]",
        "io_schema.input.properties.b.$ref",
        "io_schema.output.type",
    }
