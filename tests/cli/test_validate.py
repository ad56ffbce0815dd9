"""`dockrion validate`."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from .conftest import Result

Call = Callable[..., Result]
Agent = Callable[..., Path]


def test_other_front_ends_are_named_with_their_paths(call: Call, agent: Agent) -> None:
    expose = {"streaming": ["sse", "websocket"], "protocols": ["openai", "mcp"]}
    result = call("validate", agent(expose=expose))

    assert result.code == 0
    assert result.out.splitlines()[4:] == [
        "Also at: /invoke/ws (WebSocket), /v1 (OpenAI), /mcp (MCP)"
    ]


def test_a_valid_dockfile_is_summed_up_in_four_lines(call: Call, agent: Agent) -> None:
    result = call("validate", agent())

    assert result == Result(
        0,
        "✓ Dockfile is valid\nAgent: speller\nMode: handler (service:answer)\nFramework: custom\n",
        "",
    )


def test_an_entrypoint_is_named_as_one(call: Call, agent: Agent) -> None:
    path = agent(agent={"name": "made", "entrypoint": "service:make", "framework": "custom"})

    assert "Mode: entrypoint (service:make)" in call("validate", path).out


def test_the_agent_is_not_loaded(call: Call, agent: Agent) -> None:
    path = agent()
    (path.parent / "service.py").write_text("raise RuntimeError('loaded')")

    assert call("validate", path).code == 0


def test_every_problem_comes_at_once_with_its_line(call: Call, agent: Agent) -> None:
    path = agent(expose={"port": 0, "streaming": "carrier pigeon"}, version="2.0")

    result = call("validate", path)

    assert result.code == 1
    assert result.out == ""
    problems = [line for line in result.err.splitlines() if line.startswith("  Dockfile.yaml:")]
    assert len(problems) == 3
    assert "✗ Dockfile is invalid" in result.err
    assert "expose.port" in result.err
    assert "Hint: " in result.err


def test_an_unknown_key_is_a_warning_and_names_its_neighbour(call: Call, agent: Agent) -> None:
    result = call("validate", agent(expose={"streming": "sse"}))

    assert result.code == 0
    assert "Warning: " in result.err
    assert "did you mean streaming?" in result.err


def test_quiet_says_nothing_of_a_valid_dockfile(call: Call, agent: Agent) -> None:
    path = agent(expose={"streming": "sse"})

    assert call("validate", "-q", path) == Result(0, "", "")


def test_quiet_still_says_what_is_wrong(call: Call, agent: Agent) -> None:
    result = call("validate", "--quiet", agent(expose={"port": 0, "streming": "sse"}))

    assert result.code == 1
    assert "expose.port" in result.err
    assert "streming" not in result.err


def test_verbose_shows_the_whole_spec_with_its_defaults(call: Call, agent: Agent) -> None:
    result = call("validate", "-v", agent())

    summary, _, shown = result.out.partition("\n\n")
    assert summary.startswith("✓ Dockfile is valid")
    spec = YAML(typ="safe").load(shown)
    assert spec["version"] == "1.0"
    assert spec["expose"]["port"] == 8080
    assert spec["streaming"]["events"]["heartbeat_interval"] == 15


def test_json_is_for_machines(call: Call, agent: Agent) -> None:
    result = call("validate", "--json", agent(expose={"streming": "sse"}))

    report = json.loads(result.out)
    assert result.code == 0
    assert report["valid"] is True
    assert report["errors"] == []
    assert "did you mean streaming?" in report["warnings"][0]
    assert report["spec"]["agent"]["name"] == "speller"
    assert report["message"] == "Dockfile is valid"


def test_json_says_what_is_wrong(call: Call, agent: Agent) -> None:
    result = call("validate", "--json", agent(expose={"port": 0}))

    report = json.loads(result.out)
    assert result.code == 1
    assert report["valid"] is False
    assert "expose.port" in report["errors"][0]
    assert report["spec"] is None


def test_a_path_that_cannot_be_looked_at_is_one_sentence(call: Call) -> None:
    name = "n" * 300

    result = call("validate", name)

    assert result.code == 1
    assert result.err.startswith(f"Error: {name} cannot be read: File name too long\nHint: ")


def test_a_file_without_permission_is_no_wrong_usage(
    call: Call, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent()
    # What the system says to everybody but root.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    monkeypatch.setattr(Path, "read_text", _denied)

    result = call("validate", path)

    assert result.code == 1
    assert "Dockfile.yaml cannot be read: Permission denied" in result.err


def _denied(*_: object, **__: object) -> str:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_an_env_file_that_is_a_folder_is_a_warning(call: Call, agent: Agent) -> None:
    path = agent()
    (path.parent / ".env").mkdir()

    assert "Warning: .env is a folder; nothing is read from it" in call("validate", path).err

    (path.parent / ".env" / "pyvenv.cfg").touch()
    assert call("validate", path).err == ""


def test_verbose_shows_what_each_redaction_rule_can_hold_back(call: Call, agent: Agent) -> None:
    rules = [r"\d{3}-\d{2}-\d{4}", r"\S+@\S+", "x{2000}"]
    result = call("validate", agent(policies={"safety": {"redact_patterns": rules}}), "--verbose")

    assert result.out.endswith(
        "\nText that each redaction rule can hold back:\n"
        "  \\d{3}-\\d{2}-\\d{4}  at most 11 characters\n"
        "  \\S+@\\S+  unbounded: held up to 1024, then [REDACTED]\n"
        "  x{2000}  at most 2000 characters: held up to 1024, then [REDACTED]\n"
    )
