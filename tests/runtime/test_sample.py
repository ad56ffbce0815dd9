"""The payload and the curl line of a first call."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from dockrion.runs.schema import Schema
from dockrion.runtime.sample import curl_line, sample_payload
from dockrion.spec import DockSpec


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        (None, {}),
        ({}, {}),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, {}),
        (
            {
                "properties": {
                    "text": {"type": "string"},
                    "count": {"type": "integer", "minimum": 3},
                    "ratio": {"type": "number"},
                    "deep": {
                        "type": "object",
                        "properties": {"flag": {"type": "boolean"}},
                        "required": ["flag"],
                    },
                    "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                    "nothing": {"type": "null"},
                    "optional": {"type": "string"},
                },
                "required": ["text", "count", "ratio", "deep", "tags", "nothing"],
            },
            {
                "text": "hello",
                "count": 3,
                "ratio": 1,
                "deep": {"flag": True},
                "tags": ["hello", "hello"],
                "nothing": None,
            },
        ),
        ({"type": "string"}, "hello"),
        ({"type": "string", "format": "email"}, "ada@example.com"),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "string", "enum": ["red", "green"]}, "red"),
        ({"type": "string", "examples": ["for instance"]}, "for instance"),
        ({"type": "string", "const": "fixed"}, "fixed"),
        (
            {
                "properties": {"who": {"$ref": "#/$defs/person"}},
                "required": ["who"],
                "$defs": {
                    "person": {"properties": {"name": {"type": "string"}}, "required": ["name"]}
                },
            },
            {"who": {"name": "hello"}},
        ),
        (
            {
                "properties": {"id": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
                "required": ["id"],
            },
            {"id": 1},
        ),
    ],
)
def test_a_sample_payload_fits_its_schema(schema: dict[str, Any] | None, payload: Any) -> None:
    assert sample_payload(schema) == payload
    if schema is not None:
        assert Schema(schema).fits(payload)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/gone"},
        {"$ref": "#/required/0", "required": ["a"]},
        {"properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"properties": {"any": True}, "required": ["any"]},
    ],
)
def test_a_schema_that_leads_nowhere_still_gets_a_payload(schema: dict[str, Any]) -> None:
    json.dumps(sample_payload(schema))


def needs(schema: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"x": schema}, "required": ["x"]}


@pytest.mark.parametrize(
    "schema",
    [
        needs({"type": "integer", "exclusiveMinimum": 5}),
        needs({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}),
        needs({"type": "integer", "maximum": -3}),
        needs({"type": "integer", "minimum": 10, "multipleOf": 7}),
        needs({"type": "string", "minLength": 12}),
        needs({"type": "string", "maxLength": 2}),
        needs({"type": "string", "pattern": "^[A-Z]{3}$"}),
        needs({"type": "string", "pattern": r"^\d{10}$"}),
        needs({"type": "array", "prefixItems": [{"type": "null"}], "minItems": 2, "items": True}),
        {"anyOf": [needs({"type": "integer"}), needs({"type": "string"})]},
        {**needs({"type": "integer"}), "anyOf": [{"required": ["y"]}, {"required": ["z"]}]},
        {"allOf": [needs({"type": "integer"}), {"required": ["y"]}]},
        {"$ref": "#/$defs/a", "$defs": {"a": needs({"type": "boolean"})}},
    ],
)
def test_a_sample_keeps_to_the_bounds(schema: dict[str, Any]) -> None:
    sample = sample_payload(schema)
    assert Schema(schema).fits(sample), sample


def spec(schema: dict[str, Any], **expose: Any) -> DockSpec:
    return DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "echo", "handler": "service:answer"},
            "io_schema": {"input": schema},
            "expose": expose,
        }
    )


def test_where_no_sample_is_found_a_placeholder_stands_for_it() -> None:
    line = curl_line(spec(needs({"type": "string", "pattern": "^x{3}-y{5}$"})), "http://h")
    assert shlex.split(line)[-1] == "<JSON that fits the input of http://h/schema>"


def test_the_line_streams_where_the_agent_does() -> None:
    arguments = shlex.split(curl_line(spec(needs({"type": "string"})), "http://h"))
    assert arguments[:5] == ["curl", "-N", "-X", "POST", "http://h/invoke/stream"]
    assert json.loads(arguments[-1]) == {"x": "hello"}
    assert curl_line(spec({}, streaming="none"), "http://h").startswith("curl -X POST http://h/inv")
    only_runs = spec({}, streaming="none", rest=False, protocols=["mcp"])
    assert curl_line(only_runs, "http://h").startswith("curl -X POST http://h/runs ")


def test_a_conversation_of_the_line_has_something_to_answer() -> None:
    items: dict[str, Any] = {"type": "object"}
    messages: dict[str, Any] = {"properties": {"messages": {"type": "array", "items": items}}}
    arguments = shlex.split(curl_line(spec(messages), "http://h"))
    assert json.loads(arguments[-1]) == {"messages": [{"role": "user", "content": "Hello"}]}

    # What the author gives goes first, and what does not fit is not sent.
    messages["properties"]["messages"]["default"] = [{"role": "user", "content": "Why?"}]
    asked = spec({**messages, "required": ["messages"]})
    assert "Why?" in curl_line(asked, "http://h")
    del messages["properties"]["messages"]["default"]
    items["required"] = ["id"]
    assert curl_line(spec(messages), "http://h").endswith(" -d '{}'")
    assert "<JSON that fits" in curl_line(spec({**messages, "const": "no object"}), "http://h")
