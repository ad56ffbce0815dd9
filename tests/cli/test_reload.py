"""`dockrion run --reload`: what changes is served; what is broken is told, and ends nothing."""

from __future__ import annotations

import signal
import socket
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import dockrion, running

Agent = Callable[..., Path]

QUERY = {"query": "hello"}


def answering(word: str) -> str:
    return f"def answer(payload): return {{'answer': {word!r}}}"


def test_changed_code_is_served_at_the_same_address(agent: Agent, tmp_path: Path) -> None:
    with running(agent(), "-r") as server:
        server.until_ready()
        url = server.url
        before = server.invoke(QUERY)
        (tmp_path / "service.py").write_text(answering("new"))
        server.until('"event":"reloading".*"changed":"service.py"')
        server.until_ready()
        after = server.invoke(QUERY)
        code = server.end(signal.SIGINT)

    assert (before, after) == ({"answer": "HELLO"}, {"answer": "new"})
    assert server.url == url
    assert code == 0


def test_a_broken_agent_is_told_and_served_again_when_it_is_mended(
    agent: Agent, tmp_path: Path
) -> None:
    path = agent()
    (tmp_path / "service.py").write_text("def answer(payload:")

    with running(path, "-r") as server:
        said = server.until("waiting for a change")
        (tmp_path / "service.py").write_text(answering("mended"))
        server.until_ready()
        mended = server.invoke(QUERY)
        (tmp_path / "service.py").write_text("raise LookupError('again')")
        server.until("waiting for a change")
        health, ready = server.ask("/health"), server.ask("/ready")
        code = server.end(signal.SIGTERM)

    assert "Error: agent.handler: " in said
    assert "SyntaxError" in said
    assert "Hint: " in said
    assert mended == {"answer": "mended"}
    assert (health["status"], ready["status"]) == ("ok", "failed")
    assert "LookupError: again" in ready["error"]
    assert code == 0
    assert "Traceback" not in server.said


def test_a_broken_dockfile_is_told_and_nobody_is_kept_waiting(agent: Agent) -> None:
    path = agent()
    good = path.read_text()

    with running(path, "-r") as server:
        server.until_ready()
        path.write_text(good.replace('"1.0"', '"2.0"'))
        said = server.until("waiting for a change")
        with pytest.raises(urllib.error.URLError, match="refused"):
            server.ask("/health")
        path.write_text(good)
        server.until_ready()
        output = server.invoke(QUERY)
        code = server.end(signal.SIGTERM)

    assert "Error: Dockfile.yaml:2:" in said
    assert output == {"answer": "HELLO"}
    assert code == 0


def test_an_env_file_elsewhere_is_watched_too(
    agent: Agent, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    given = elsewhere / "given.env"
    given.write_text("WORD=old\n")
    path = agent()
    (tmp_path / "service.py").write_text(
        "import os\ndef answer(payload): return {'answer': os.environ['WORD']}"
    )

    with running(path, "-r", "-e", given) as server:
        server.until_ready()
        before = server.invoke(QUERY)
        (elsewhere / "other.env").write_text("WORD=none of this agent's\n")
        given.write_text("WORD=new\n")
        said = server.until_ready()
        after = server.invoke(QUERY)

    assert (before, after) == ({"answer": "old"}, {"answer": "new"})
    assert "other.env" not in said


def test_an_agent_that_ends_the_process_is_told(agent: Agent, tmp_path: Path) -> None:
    path = agent()
    (tmp_path / "service.py").write_text("import os\ndef answer(payload): os._exit(3)")

    with running(path, "-r") as server:
        server.until_ready()
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            server.invoke(QUERY)
        server.until("the server process ended with code 3")
        (tmp_path / "service.py").write_text(answering("mended"))
        server.until_ready()

        assert server.invoke(QUERY) == {"answer": "mended"}


def test_a_port_that_is_taken_at_the_start_is_1(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = dockrion("run", agent(), "-r", "--host", "127.0.0.1", "--port", str(port))

    assert result.code == 1
    assert result.err.startswith(f"Error: port {port} on 127.0.0.1 is already in use\nHint: ")
