"""`dockrion test`: one run, its output alone on standard output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    "streaming",
    [
        {"backend": "redis", "redis": {"url": "redis://127.0.0.1:1"}},
        {"backend": "sqlite", "connection": {"on_disconnect": "continue"}},
    ],
)
def test_it_leaves_the_backend_of_servers_alone(
    agent: Agent, tmp_path: Path, streaming: dict[str, Any]
) -> None:
    result = dockrion("test", agent(streaming=streaming), "-p", HELLO)

    assert json.loads(result.out) == {"answer": "HELLO THERE"}
    assert not (tmp_path / ".dockrion").exists()


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
        ("", "the payload is empty"),
        ("{query: 1}", "not JSON"),
        ("NaN", "the payload is not JSON: it has no NaN; send null."),
        ('"\\ud800"', "half of a surrogate pair"),
        pytest.param("[" * 100_000, "nested over 128 deep", id="deep"),
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


def test_a_byte_order_mark_in_a_payload_file_is_fine(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text('{"query": "é"}', encoding="utf-8-sig")

    result = dockrion("test", agent(), "-f", tmp_path / "payload.json")

    assert (result.code, json.loads(result.out)) == (0, {"answer": "É"})


def test_a_payload_file_that_is_not_utf8_is_1(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_bytes(b'{"query": "\xe9"}')

    result = dockrion("test", agent(), "-f", tmp_path / "payload.json")

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: the payload is not UTF-8: byte 11.\n")


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


@pytest.mark.parametrize("output", ["missing/out.json", "."])
def test_where_the_output_cannot_go_the_agent_does_not_run(
    agent: Agent, tmp_path: Path, output: str
) -> None:
    result = dockrion("test", agent("noisy"), "-p", HELLO, "-o", output, folder=tmp_path)

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith(f"Error: {output} cannot be written: ")
    assert "noise of the agent" not in result.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_output_that_cannot_be_written_in_the_end_is_printed(agent: Agent) -> None:
    result = dockrion("test", agent(), "-p", HELLO, "-o", "/dev/full")

    assert result.code == 1
    assert json.loads(result.out) == {"answer": "HELLO THERE"}
    assert result.err.startswith("Error: /dev/full cannot be written: No space left")


@pytest.mark.parametrize(
    ("sections", "environment", "warned"),
    [
        ({}, {}, True),
        ({"observability": {"log_level": "error"}}, {}, False),
        ({}, {"LOG_LEVEL": "error"}, False),
    ],
)
def test_what_is_logged_while_it_runs_is_up_to_the_log_level(
    agent: Agent, sections: dict[str, Any], environment: dict[str, Any], warned: bool
) -> None:
    result = dockrion("test", agent("warns", **sections), "-p", HELLO, **environment)

    assert ("a warning of the agent" in result.err) is warned


def test_json_from_a_file_gets_no_hint_about_the_shell(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "payload.json").write_text("{query: 1}")

    result = dockrion("test", agent(), "-f", "payload.json", folder=tmp_path)

    assert result.code == 1
    assert "shell" not in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("sections", "env", "payload", "hint"),
    [
        ({}, None, "{}", "Hint: io_schema.input in the Dockfile says"),
        ({"expose": {"port": 0}}, None, HELLO, "Hint: each line starts with where it is"),
        ({}, "no value", HELLO, "Hint: env files are NAME=value lines"),
    ],
)
def test_the_hint_is_about_what_was_wrong(
    agent: Agent, sections: dict[str, Any], env: str | None, payload: str, hint: str
) -> None:
    path = agent(**sections)
    if env is not None:
        (path.parent / ".env").write_text(env)

    result = dockrion("test", path, "-p", payload)

    assert result.code == 1
    assert result.err.splitlines()[-1].startswith(hint)


def test_a_payload_file_that_cannot_be_read_is_1(agent: Agent, tmp_path: Path) -> None:
    result = dockrion("test", agent(), "-f", str(tmp_path))

    assert result.code == 1
    assert result.err.startswith(f"Error: {tmp_path} cannot be read: Is a directory\n")
