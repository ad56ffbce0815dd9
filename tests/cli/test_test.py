"""`dockrion test`: one run, its output alone on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import dockrion

Agent = Callable[..., Path]
HELLO = '{"query": "hello there"}'


def test_it_prints_the_output_alone_as_json(agent: Agent) -> None:
    result = dockrion("test", agent(), "-p", HELLO)

    assert result.code == 0
    assert json.loads(result.out) == {"answer": "HELLO THERE"}
    assert result.err == ""


def test_the_payload_may_come_from_a_file(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text(HELLO)

    result = dockrion("test", agent(), "-f", "payload.json", folder=tmp_path)

    assert json.loads(result.out) == {"answer": "HELLO THERE"}


def test_the_payload_may_come_from_standard_input(agent: Agent) -> None:
    result = dockrion("test", agent(), "--payload-file", "-", stdin='{"query": "piped é"}')

    assert json.loads(result.out) == {"answer": "PIPED É"}


def test_what_the_agent_prints_does_not_mix_with_the_output(agent: Agent) -> None:
    result = dockrion("test", agent("noisy"), "-p", HELLO)

    assert json.loads(result.out) == {"answer": "quiet"}
    assert "noise of the agent" in result.err


def test_the_output_may_go_to_a_file(agent: Agent, tmp_path: Path) -> None:
    result = dockrion("test", agent(), "-p", HELLO, "-o", "out.json", folder=tmp_path)

    assert (result.code, result.out) == (0, "")
    assert json.loads((tmp_path / "out.json").read_text()) == {"answer": "HELLO THERE"}


def test_a_stream_shows_its_events_beside_the_output(agent: Agent) -> None:
    result = dockrion("test", agent("words"), "-p", HELLO, "--stream")

    events = [line.partition(" ") for line in result.err.splitlines()]
    assert [name for name, _, _ in events] == ["started", "token", "token", "complete"]
    assert [json.loads(data)["content"] for name, _, data in events if name == "token"] == [
        "hello",
        "there",
    ]
    assert json.loads(result.out) == {"content": "hellothere"}


def test_verbose_shows_the_metadata(agent: Agent) -> None:
    result = dockrion("test", agent(), "-p", HELLO, "-v")

    name, _, data = result.err.partition(" ")
    assert name == "metadata"
    assert json.loads(data)["agent"] == "speller"
    assert json.loads(result.out) == {"answer": "HELLO THERE"}


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        ("", "not JSON"),
        ("{query: 1}", "not JSON"),
        ("NaN", "not JSON"),
        ("{}", "query"),
        ('{"query": 1}', "query"),
    ],
)
def test_a_wrong_payload_is_1(agent: Agent, payload: str, complaint: str) -> None:
    result = dockrion("test", agent(), "-p", payload)

    assert (result.code, result.out) == (1, "")
    message, hint = result.err.splitlines()
    assert message.startswith("Error: ")
    assert complaint in message
    assert hint.startswith("Hint: ")


def test_a_missing_payload_file_is_1(agent: Agent) -> None:
    result = dockrion("test", agent(), "-f", "nowhere.json")

    assert result.code == 1
    assert result.err.startswith("Error: nowhere.json not found\n")


def test_an_agent_that_raises_is_1_and_no_traceback(agent: Agent) -> None:
    result = dockrion("test", agent("fails"), "-p", HELLO)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: LookupError: no such thing\nHint: ")
    assert len(result.err.splitlines()) == 2


def test_debug_shows_where_the_agent_raised(agent: Agent) -> None:
    result = dockrion("test", agent("fails"), "-p", HELLO, "--debug")

    assert 'raise LookupError("no such thing")' in result.err


def test_an_agent_that_is_not_there_is_1_and_names_the_near_one(agent: Agent) -> None:
    result = dockrion("test", agent("anwser"), "-p", HELLO)

    assert result.code == 1
    assert "did you mean 'answer'?" in result.err
    assert "Traceback" not in result.err


def test_a_missing_secret_is_a_warning(agent: Agent) -> None:
    path = agent(secrets={"required": [{"name": "SPELLER_TEST_KEY"}]})

    result = dockrion("test", path, "-p", HELLO)

    assert result.code == 0
    assert json.loads(result.out) == {"answer": "HELLO THERE"}
    assert "Missing required secrets: SPELLER_TEST_KEY" in result.err


def test_ctrl_c_is_130_although_the_agent_goes_on(agent: Agent) -> None:
    result = dockrion("test", agent("endless"), "-p", HELLO)

    assert (result.code, result.out) == (130, "")
    assert "Traceback" not in result.err
