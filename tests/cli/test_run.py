"""`dockrion run`: a server process that says where it is, and ends as it should."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import command_line, dockrion

Agent = Callable[..., Path]

SERVICE = """
import os

def settings(payload):
    return {name: os.environ.get(name) for name in ("IN_FILE", "IN_SHELL")}
"""


@contextmanager
def running(*arguments: str | Path) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Run a server on a free port; yield it and its banner."""
    process = subprocess.Popen(
        command_line(["run", *arguments, "--host", "127.0.0.1", "--port", "0"]),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines: list[str] = []
        while not lines or "stop" not in lines[-1]:
            line = process.stderr.readline()
            assert line, f"the server ended: {''.join(lines)}"
            lines.append(line)
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def invoke(banner: str, payload: str) -> dict[str, object]:
    found = re.search(r"page +(\S+)", banner)
    assert found is not None
    request = urllib.request.Request(
        f"{found[1]}invoke", payload.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_with_0(agent: Agent, number: signal.Signals) -> None:
    with running(agent()) as (process, banner):
        answer = invoke(banner, '{"query": "hello"}')
        process.send_signal(number)
        code = process.wait(10)

    assert answer["output"] == {"answer": "HELLO"}
    assert code == 0


def test_the_banner_has_a_curl_line_that_fits_the_agent(agent: Agent) -> None:
    with running(agent()) as (_, banner):
        pass

    assert "speller is ready" in banner
    assert re.search(r"curl -N -X POST http://127\.0\.0\.1:\d+/invoke/stream", banner)
    assert """-d '{"query": "hello"}'""" in banner


def test_the_variables_of_an_env_file_stand_below_those_of_the_shell(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent("settings", io_schema={})
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "agent.env").write_text("IN_FILE=file\nIN_SHELL=file\n")
    monkeypatch.setenv("IN_SHELL", "shell")

    with running(path, "--env-file", tmp_path / "agent.env") as (_, banner):
        answer = invoke(banner, "{}")

    assert answer["output"] == {"IN_FILE": "file", "IN_SHELL": "shell"}


def test_a_taken_port_is_1_and_says_so(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = dockrion("run", agent(), "--host", "127.0.0.1", "--port", str(port))

    assert result.code == 1
    assert result.err.startswith(f"Error: port {port} on 127.0.0.1 is already in use\nHint: ")
    assert "Traceback" not in result.err


def test_an_agent_that_cannot_be_loaded_is_1_without_a_traceback(agent: Agent) -> None:
    result = dockrion("run", agent("anwser"), "--host", "127.0.0.1", "--port", "0")

    assert (result.code, result.out) == (1, "")
    message, hint = result.err.splitlines()
    assert message.startswith("Error: agent.handler: ")
    assert "did you mean 'answer'?" in message
    assert hint.startswith("Hint: ")


def test_debug_shows_why_the_agent_cannot_be_loaded(agent: Agent, tmp_path: Path) -> None:
    path = agent()
    (tmp_path / "service.py").write_text("raise RuntimeError('at import')")

    result = dockrion("run", path, "--host", "127.0.0.1", "--port", "0", "--debug")

    assert result.code == 1
    assert result.err.count("raise RuntimeError('at import')") == 1


def test_a_missing_secret_stops_the_start(agent: Agent) -> None:
    path = agent(secrets={"required": [{"name": "SPELLER_KEY_A"}, {"name": "SPELLER_KEY_B"}]})

    result = dockrion("run", path, "--port", "0")

    assert result.code == 1
    assert result.err.startswith("Error: Missing required secrets: SPELLER_KEY_A, SPELLER_KEY_B\n")


def test_a_missing_env_file_stops_the_start(agent: Agent) -> None:
    result = dockrion("run", agent(), "--port", "0", "-e", "nowhere.env")

    assert result.code == 1
    assert "nowhere.env" in result.err
    assert "not found" in result.err


def test_a_section_that_cannot_be_served_stops_the_start(agent: Agent) -> None:
    result = dockrion("run", agent(auth={"mode": "api_key"}), "--port", "0")

    assert result.code == 1
    assert result.err.startswith("Error: auth.mode: api_key is not available in this release\n")
