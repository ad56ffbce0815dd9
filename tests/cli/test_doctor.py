"""`dockrion doctor`, as a person and a program see it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from dockrion.cli.commands import cli
from dockrion.cli.doctor import _show
from dockrion.doctor.base import Result, error
from dockrion.doctor.checks import CHECKS

from .conftest import command_line, dockrion

Agent = Callable[..., Path]
LOCAL = {"host": "127.0.0.1"}


def test_every_check_has_a_line_and_every_problem_a_hint(agent: Agent, tmp_path: Path) -> None:
    secrets = {"required": [{"name": "MODEL_KEY"}]}
    agent(expose=LOCAL, secrets=secrets)

    result = dockrion("doctor", folder=tmp_path)

    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    names = [
        name
        for line in lines
        if line[:2] in ("✓ ", "! ", "✗ ", "i ") and (name := line[2:12].strip())
    ]
    assert names == [check.name for check in CHECKS]
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ secrets"))
    assert lines[at] == "✗ secrets     MODEL_KEY is not set"
    assert lines[at + 1].strip().startswith("→ set it in the shell")
    assert lines[-1].startswith("1 problem")


def test_a_dockfile_that_is_missing_or_wrong_is_exit_0_too(agent: Agent, tmp_path: Path) -> None:
    missing = dockrion("doctor", tmp_path / "nix.yaml")
    assert missing.code == 0
    assert "nix.yaml not found" in missing.out
    assert "- not looked at: secrets, packages, agent," in missing.out

    wrong = dockrion("doctor", agent(expose={"port": 0}))
    assert wrong.code == 0
    assert "✗ Dockfile" in wrong.out
    assert "expose.port" in wrong.out


def test_json_is_data_alone(agent: Agent) -> None:
    path = agent("words", expose=LOCAL)
    (path.parent / "service.py").write_text("print('noise')\nraise LookupError('nothing')")

    result = dockrion("doctor", "--json", path)

    report = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert report["sound"] is False
    (found,) = [one for one in report["findings"] if one["check"] == "agent"]
    assert found["status"] == "error"
    assert "LookupError: nothing" in found["message"]
    assert found["hint"]


def test_an_agent_that_hangs_is_given_up(agent: Agent) -> None:
    path = agent("words", expose=LOCAL)
    (path.parent / "service.py").write_text("import time\ntime.sleep(600)\n")

    result = dockrion("doctor", "--timeout", "1", path)

    assert result.code == 0
    assert "it is not loaded after 1 s: it is at service.py, line 2" in result.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["-p", "{}"],
        ["--api-key", "k"],
        ["--stream", "localhost:1", "-e", ".env"],
        ["--stream", "localhost:1", "Dockfile.yaml"],
        ["--stream", "localhost:1", "--api-key", "two\nlines"],
        ["--stream", "ftp://localhost"],
        ["--timeout", "0"],
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, ["doctor", *arguments])

    assert result.exit_code == 2
    assert result.stdout == ""


def test_what_others_have_said_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    _show([Result("server", error("404 \x1b[2J\nfrom \x07nginx", "look"))])

    assert "✗ server  404  [2J from  nginx\n" in capsys.readouterr().out


def test_a_terminal_gets_colours_and_lines_that_fit(agent: Agent) -> None:
    path = agent("words", expose=LOCAL)

    shown = _in_terminal("doctor", path, columns=70)

    assert "\x1b[32m✓\x1b[0m python" in shown
    plain = shown.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")
    assert all(len(line) <= 70 for line in plain.splitlines() if " " in line[14:])


def _in_terminal(*arguments: str | Path, columns: int) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command_line(arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns)},
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1 << 16):
            said += data
    except OSError:  # what Linux says when the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(30) == 0
    return said.decode()
