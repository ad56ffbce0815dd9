"""`dockrion run`: a server process that says where it is, and ends as it should."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import command_line, dockrion, running

Agent = Callable[..., Path]

LOG = Path(".dockrion_runtime", "logs", "speller.log")

SERVICE = """
import os

def settings(payload):
    return {name: os.environ.get(name) for name in ("IN_FILE", "IN_SHELL")}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_exits_with_0(agent: Agent, number: signal.Signals) -> None:
    with running(agent()) as server:
        server.until_ready()
        output = server.invoke({"query": "hello"})
        code = server.end(number)

    assert output == {"answer": "HELLO"}
    assert code == 0


def test_the_banner_has_a_curl_line_that_fits_the_agent(agent: Agent) -> None:
    with running(agent()) as server:
        banner = server.until_ready()

    assert "speller is ready" in banner
    assert re.search(r"curl -N -X POST http://127\.0\.0\.1:\d+/invoke/stream", banner)
    assert """-d '{"query": "hello"}'""" in banner


def test_it_logs_json_lines_and_keeps_them_in_a_file(agent: Agent, tmp_path: Path) -> None:
    with running(agent()) as server:
        server.until_ready()
        server.invoke({"query": "do not log me"})
        server.until('"event":"request"')
        code = server.end(signal.SIGTERM)

    assert code == 0
    kept = (tmp_path / LOG).read_text()
    assert kept.splitlines()[0] in server.said
    lines = [json.loads(line) for line in kept.splitlines()]
    [access] = [line for line in lines if line["event"] == "request"]
    assert (access["agent"], access["path"], access["status"]) == ("speller", "/invoke", 200)
    assert "do not log me" not in kept


def test_log_level_in_the_environment_wins(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")

    with running(agent(observability={"log_level": "debug"})) as server:
        server.until_ready()
        server.invoke({"query": "hello"})
        server.end(signal.SIGTERM)

    assert (tmp_path / LOG).read_text() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells")
@pytest.mark.parametrize("stderr", ["2>&-", "0<&- 1>&- 2>&-", "2>/dev/full"])
def test_a_server_that_can_tell_nobody_serves_and_keeps_its_log(
    agent: Agent, tmp_path: Path, stderr: str
) -> None:
    if "full" in stderr and not Path("/dev/full").exists():
        pytest.skip("Linux has it")
    path = agent("fails", io_schema={})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = command_line(["run", path, "--host", "127.0.0.1", "--port", str(port)])
    process = subprocess.Popen(["sh", "-c", f'exec "$@" {stderr}', "sh", *command])
    try:
        assert _status_of_call(f"http://127.0.0.1:{port}/invoke", process) == 500
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()

    assert "LookupError: no such thing" in (tmp_path / LOG).read_text()


def _status_of_call(url: str, process: subprocess.Popen[bytes]) -> int:
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    while process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status
        except urllib.error.HTTPError as exc:
            exc.close()
            return exc.code
        except urllib.error.URLError:
            time.sleep(0.05)  # it does not listen yet
    pytest.fail(f"the server ended with {process.returncode}")


def test_values_of_secrets_are_not_logged(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPELLER_KEY", "s3cr3t-value")
    path = agent("fails", io_schema={}, secrets={"required": [{"name": "SPELLER_KEY"}]})
    source = "import os\ndef fails(payload):\n    raise ValueError(os.environ['SPELLER_KEY'])\n"
    (tmp_path / "service.py").write_text(source)

    with running(path) as server:
        server.until_ready()
        server.ask("/invoke", b"{}")
        server.end(signal.SIGTERM)

    kept = (tmp_path / LOG).read_text()
    assert "ValueError: ***" in kept
    assert "s3cr3t-value" not in kept


def test_the_variables_of_an_env_file_stand_below_those_of_the_shell(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent("settings", io_schema={})
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "agent.env").write_text("IN_FILE=file\nIN_SHELL=file\n")
    monkeypatch.setenv("IN_SHELL", "shell")

    with running(path, "--env-file", tmp_path / "agent.env") as server:
        server.until_ready()
        output = server.invoke({})

    assert output == {"IN_FILE": "file", "IN_SHELL": "shell"}


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


KEYS = {
    "api_keys": {
        "keys": [{"name": "a", "env_var": "A_KEY"}, {"name": "b", "env_var": "B_KEY"}],
    }
}


@pytest.mark.parametrize("more", [(), ("--workers", "2")])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"A_KEY": "a-s3cret"}, "auth.api_keys: B_KEY is not set; without a key nobody could call"),
        (
            {"A_KEY": "a-s3cret", "B_KEY": "sha256:a-s3cret"},
            "auth.api_keys: B_KEY starts with `sha256:`, but what follows is not 64 hexadecimal digits",
        ),
    ],
)
def test_a_key_that_is_not_there_or_not_sound_stops_the_start(
    agent: Agent,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    values: dict[str, str],
    says: str,
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    path = agent(auth=KEYS, streaming={"async_runs": False})
    result = dockrion("run", path, "--port", "0", *more)

    assert result.code == 1
    assert result.err.startswith(f"Error: {says}\nHint: set it in the shell, in .env")
    assert "s3cret" not in result.err


def test_the_banner_shows_where_the_key_goes(agent: Agent) -> None:
    path = agent(auth={"mode": "api_key"})
    (path.parent / ".env").write_text("DOCKRION_API_KEY=a-s3cret\n")
    with running(path) as server:
        assert "-H 'X-API-Key: <key>' " in server.until_ready()
    assert '"variables":["DOCKRION_API_KEY"]' in server.said
    assert "s3cret" not in server.said


def test_the_runtime_is_written_beside_the_dockfile(agent: Agent) -> None:
    path = agent()
    with running(path) as server:
        server.until_ready()

    written = path.parent / ".dockrion_runtime"
    assert sorted(file.name for file in written.iterdir()) == [
        "logs",
        "main.py",
        "requirements.txt",
    ]


def test_a_folder_that_cannot_be_written_stops_nothing(agent: Agent) -> None:
    path = agent()
    (path.parent / ".dockrion_runtime").write_text("a file where the folder would be")

    with running(path) as server:
        said = server.until_ready()
        output = server.invoke({"query": "hello"})

    assert '"level":"warn"' in said
    assert ".dockrion_runtime cannot be written" in said
    assert "log file cannot be written" in said
    assert output == {"answer": "HELLO"}


def test_requirements_that_cannot_be_met_elsewhere_stop_nothing_here(agent: Agent) -> None:
    path = agent()
    (path.parent / "requirements.txt").write_text("pydantic==1.10\n")

    with running(path) as server:
        said = server.until_ready()

    assert "lacks requirements.txt: pydantic: requirements.txt:1 has `pydantic==1.10`" in said


def test_verbose_says_where_each_secret_is_from_and_no_value(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = agent(
        secrets={
            "required": [{"name": "FROM_SHELL"}, {"name": "FROM_FILE"}, {"name": "FROM_DOT_ENV"}],
            "optional": [{"name": "BY_DEFAULT", "default": "hush-4"}, {"name": "NOWHERE"}],
        }
    )
    monkeypatch.setenv("FROM_SHELL", "hush-1")
    given = tmp_path / "given.env"
    given.write_text("FROM_FILE=hush-2\n")
    (tmp_path / ".env").write_text("FROM_DOT_ENV=hush-3\n")

    with running(path, "-v", "-e", given) as server:
        said = server.until_ready()

    lines = [line.split() for line in said.splitlines() if line.startswith("secret ")]
    assert lines == [
        ["secret", "FROM_SHELL", "shell"],
        ["secret", "FROM_FILE", str(given)],
        ["secret", "FROM_DOT_ENV", ".env"],
        ["secret", "BY_DEFAULT", "default"],
        ["secret", "NOWHERE", "not", "set"],
    ]
    assert "hush" not in said
