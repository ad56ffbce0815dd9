"""The JSON Schema for editors, against what the loader takes; and the dump that is shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from tests.spec.kit import LEAST, dockfile, spec_of, write
from tests.spec.test_defaults import DEFAULTS, DEFAULTS_OF_SECTIONS_THAT_ARE_THERE
from tests.spec.test_fields import FIELDS, TAKEN
from tests.spec.test_members import TAKEN as TAKEN_ITEMS

from dockrion.spec import DockSpec, dump, generate_json_schema, read_dockfile, write_json_schema

if TYPE_CHECKING:
    from pathlib import Path

VALIDATOR = jsonschema_rs.Draft202012Validator(generate_json_schema())


def test_the_schema_is_a_schema_and_describes_every_field() -> None:
    schema = generate_json_schema()
    jsonschema_rs.meta.validate(schema)
    for section in (schema, *schema["$defs"].values()):
        for name, field in section["properties"].items():
            assert field["description"].strip(), name


@pytest.mark.parametrize(("path", "value"), TAKEN + TAKEN_ITEMS)
def test_the_schema_takes_what_the_loader_takes(path: str, value: Any) -> None:
    VALIDATOR.validate(dockfile({path: value}))


@pytest.mark.parametrize("parts", [parts for parts, _ in DEFAULTS_OF_SECTIONS_THAT_ARE_THERE])
def test_the_schema_takes_whole_sections(parts: dict[str, Any]) -> None:
    VALIDATOR.validate(dockfile(parts))


@pytest.mark.parametrize("path", DEFAULTS)
def test_the_schema_takes_null_and_its_own_defaults(path: str) -> None:
    VALIDATOR.validate(dockfile({path: None}))


NOT_FOR_VARIABLES = {"arguments", "io_schema.input", "io_schema.output"}
SCALARS = {
    path for path, words, _, _ in FIELDS if words not in ("must be a list", "must be a mapping")
}


@pytest.mark.parametrize("path", sorted(SCALARS - NOT_FOR_VARIABLES))
def test_the_schema_takes_a_variable_wherever_a_value_stands(path: str) -> None:
    VALIDATOR.validate(dockfile({path: "${VALUE:-8080}"}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("expose.port", 0),
        ("expose.port", 65536),
        ("expose.port", "8080"),
        ("expose.rest", "yes"),
        ("streaming.backend", "postgres"),
        ("streaming.events.allowed", ["tokn"]),
        ("agent.name", "A"),
        ("expose", None),
        ("auth.roles", [{"name": "a"}]),
        ("version", 1.0),
        ("io_schema.strict", "yes"),
        ("arguments", []),
    ],
)
def test_the_schema_refuses_what_editors_can_know(path: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(dockfile({path: value}))


def test_the_schema_lets_other_keys_pass_as_the_loader_does() -> None:
    VALIDATOR.validate({**LEAST, "x-mine": 1, "agent": {**LEAST["agent"], "more": []}})


def test_the_schema_is_written_as_a_file(tmp_path: Path) -> None:
    write_json_schema(tmp_path / "dockfile.schema.json")
    text = (tmp_path / "dockfile.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == generate_json_schema()
    assert text.endswith("}\n")


def test_a_dump_has_every_field_with_its_default_as_plain_data() -> None:
    dumped = dump(spec_of({"expose.port": 9, "streming": {"a": 1}}))
    assert json.loads(json.dumps(dumped)) == dumped
    assert dumped["expose"]["port"] == 9
    assert dumped["streaming"]["events"]["heartbeat_interval"] == 15
    assert dumped["streming"] == {"a": 1}
    assert set(dumped) == {*DockSpec.model_fields, "streming"}


def test_a_dump_can_be_read_again() -> None:
    spec = spec_of({"expose.streaming": ["websocket"], "policies.safety": {}, "auth": {}})
    assert DockSpec.model_validate(dump(spec)).model_dump() == spec.model_dump()


def test_no_secret_is_in_a_dump_or_in_the_repr_of_a_spec(tmp_path: Path) -> None:
    more = """\
secrets:
  optional:
    - {name: WITH_DEFAULT, default: hunter2}
observability:
  langfuse: {public_key: hunter2, secret_key: hunter2}
  otlp: {headers: {authorization: hunter2}}
streaming: {redis: {url: "redis://:hunter2@h"}}
"""
    spec = read_dockfile(write(tmp_path, more), environ={}).spec
    assert "hunter2" not in json.dumps(dump(spec))
    assert json.dumps(dump(spec)).count("***") == 5
    shown = [
        repr(spec),
        str(spec),
        repr(spec.observability),
        repr(spec.streaming),
        repr(spec.secrets),
    ]
    assert not [text for text in shown if "hunter2" in text]


def test_a_dump_shows_text_from_variables_as_it_is_written(tmp_path: Path) -> None:
    more = """\
arguments: {token: "${TOKEN}", nested: ["Bearer ${TOKEN}"]}
metadata: {maintainer: "${TOKEN}"}
runs:
  concurrency: ${N}
"""
    spec = read_dockfile(write(tmp_path, more), environ={"TOKEN": "hunter2", "N": "7"}).spec
    dumped = dump(spec)
    assert dumped["arguments"] == {"token": "${TOKEN}", "nested": ["Bearer ${TOKEN}"]}
    assert dumped["metadata"]["maintainer"] == "${TOKEN}"
    assert dumped["runs"]["concurrency"] == 7
