"""The banner, and the payload that its curl line sends."""

from __future__ import annotations

import json
import shlex
from typing import Any

import jsonschema_rs
import pytest

from dockrion.runtime.banner import banner, base_url, curl_line, sample_payload
from dockrion.spec import DockSpec


def spec(**sections: Any) -> DockSpec:
    minimal: dict[str, Any] = {
        "version": "1.0",
        "agent": {"name": "echo", "handler": "service:answer"},
        "io_schema": {},
        "expose": {},
    }
    return DockSpec.model_validate({**minimal, **sections})


def test_it_says_the_agent_the_page_and_a_curl_line() -> None:
    text = banner(spec(), host="0.0.0.0", port=8080, seconds=0.4)

    assert "echo is ready after 0.40 s" in text
    assert "http://localhost:8080/\n" in text
    assert "curl -N -X POST http://localhost:8080/invoke/stream" in text


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://localhost:81"),
        ("::", "http://localhost:81"),
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("::1", "http://[::1]:81"),
        ("agents.example.com", "http://agents.example.com:81"),
    ],
)
def test_the_address_is_one_that_a_caller_can_use(host: str, url: str) -> None:
    assert base_url(host, 81) == url


def test_the_curl_line_survives_a_shell() -> None:
    schema = {
        "properties": {"query": {"type": "string", "default": 'it\'s "here"'}},
        "required": ["query"],
    }

    arguments = shlex.split(curl_line(spec(io_schema={"input": schema}), "http://localhost:8080"))

    assert arguments[:5] == ["curl", "-N", "-X", "POST", "http://localhost:8080/invoke/stream"]
    assert json.loads(arguments[arguments.index("-d") + 1]) == {"query": 'it\'s "here"'}


def test_an_agent_that_does_not_stream_is_asked_plainly() -> None:
    line = curl_line(spec(expose={"streaming": "none"}), "http://localhost:8080")

    assert line.startswith("curl -X POST http://localhost:8080/invoke -H")


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
        validator = jsonschema_rs.validator_for(schema, validate_formats=True)
        assert validator.is_valid(payload)


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
