"""`dockrion inspect`: what came of one run, as JSON, as a schema to paste, as Python shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dockrion.spec import validate_dockspec
from dockrion.spec.document import read_document

from .conftest import dockrion

Agent = Callable[..., Path]
HELLO = '{"query": "hello there"}'

ODD = """
import datetime

class Thing:
    def __repr__(self):
        return "<Thing>"

def odd(payload):
    return {"when": datetime.date(2026, 1, 2), "thing": Thing(), "parts": [1, None]}

def listed(payload):
    return ("a", 1)
"""


@pytest.fixture
def odd(agent: Agent, tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        path = agent(agent={"name": "odd", "handler": f"odd:{name}"}, io_schema={})
        (tmp_path / "odd.py").write_text(ODD)
        return path

    return write


def test_it_prints_the_output_as_test_does(agent: Agent) -> None:
    result = dockrion("inspect", agent("noisy"), "-p", HELLO)

    assert (result.code, json.loads(result.out)) == (0, {"answer": "quiet"})
    assert result.err == "noise of the agent\n"


def test_raw_is_what_the_agent_returned_before_it_was_json(odd: Callable[[str], Path]) -> None:
    result = dockrion("inspect", odd("odd"), "-p", "{}", "--raw")

    assert result.out == (
        "{'when': datetime.date(2026, 1, 2), 'thing': <Thing>, 'parts': [1, None]}\n"
    )


def test_raw_of_an_agent_that_gave_tokens_alone_is_their_output(agent: Agent) -> None:
    result = dockrion("inspect", agent("words"), "-p", HELLO, "-r", "-v")

    assert result.out == "{'content': 'hellothere'}\n"
    assert result.err.splitlines()[-1] == "returned builtins.dict"
    assert json.loads(result.err.splitlines()[0].removeprefix("metadata "))["agent"] == "speller"


def test_the_schema_can_be_pasted_into_the_dockfile(
    odd: Callable[[str], Path], tmp_path: Path
) -> None:
    path = odd("odd")
    result = dockrion("inspect", path, "-p", '{"n": 1}', "-g", "-o", tmp_path / "schema.yaml")

    assert (result.code, result.out) == (0, "")
    text = (tmp_path / "schema.yaml").read_text()
    schema = read_document(text).data["io_schema"]
    assert schema["input"]["properties"] == {"n": {"type": "integer"}}
    assert schema["output"]["properties"]["parts"]["items"] == {"type": ["integer", "null"]}
    path.write_text(json.dumps({**json.loads(path.read_text()), "io_schema": schema}))
    assert validate_dockspec(path)["errors"] == []
    again = dockrion("inspect", path, "-p", '{"n": 1}')
    assert (again.code, again.err) == (0, "")


def test_an_output_that_breaks_the_rules_still_gets_its_schema(odd: Callable[[str], Path]) -> None:
    path = odd("listed")

    refused = dockrion("inspect", path, "-p", "{}")
    assert (refused.code, refused.out) == (1, "")
    assert "output: must be an object, the agent gave an array" in refused.err
    result = dockrion("inspect", path, "-p", "{}", "-g")
    assert result.code == 0
    assert "Warning: output: must be an object" in result.err
    assert read_document(result.out).data["io_schema"]["output"] == {
        "type": "array",
        "items": {"type": ["string", "integer"]},
    }
    assert dockrion("inspect", path, "-p", "{}", "-r").out == "('a', 1)\n"


@pytest.mark.parametrize(
    ("handler", "arguments", "code", "said"),
    [
        ("answer", (), 2, "Give the payload with either"),
        ("answer", ("-p", "{}", "-f", "x"), 2, "Give the payload with either"),
        ("answer", ("-p", HELLO, "-g", "-r"), 2, "-g/--generate-schema or -r/--raw, not both"),
        ("answer", ("-p", ""), 1, "the payload is empty"),
        ("answer", ("-p", "{}"), 1, "query"),
        ("answer", ("-f", "nowhere"), 1, "nowhere not found"),
        ("answer", ("-p", HELLO, "-o", "nowhere/x"), 1, "cannot be written"),
        ("fails", ("-p", HELLO, "-g"), 1, "LookupError: no such thing"),
    ],
)
def test_what_is_wrong_is_said(
    agent: Agent, handler: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = dockrion("inspect", agent(handler), *arguments)

    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert "Traceback" not in result.err
