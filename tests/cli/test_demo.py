"""`make demo` without a terminal: the curl line, the stream, the end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_demo_takes_another_port_when_its_own_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "demo.py"), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert "event: complete" in done.stdout
    assert f":{port}/" not in done.stdout


def test_a_proxy_of_the_shell_is_passed_by(curl: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        proxy = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "demo.py"), "--port", "0"],
            env={
                **{k: v for k, v in os.environ.items() if k.lower() != "no_proxy"},
                "http_proxy": proxy,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert "event: complete" in done.stdout


def test_an_interrupt_before_the_server_is_ready_ends_both() -> None:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), "--port", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("$ dockrion run")
        os.killpg(demo.pid, signal.SIGINT)
        # Its end comes only when nobody holds the pipe any longer, the server neither.
        demo.stdout.read()
        assert demo.wait(30) == 0


@pytest.mark.parametrize("with_curl", [True, False])
def test_the_demo_streams_one_answer_and_ends(
    with_curl: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if with_curl:
        (tmp_path / "curl").symlink_to(request.getfixturevalue("curl"))

    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), "--port", "0"],
        # A key that the shell has must not make the demo ask a model.
        env={**os.environ, "PATH": str(tmp_path), "OPENAI_API_KEY": "sk-not-to-be-used"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    command = re.search(
        r"^\$ curl -N -X POST http://127\.0\.0\.1:(\d+)/invoke/stream", done.stdout, re.MULTILINE
    )
    assert command is not None
    events = re.findall(r"^event: (.+)$", done.stdout, re.MULTILINE)
    assert events[0] == "started"
    assert events[-1] == "complete"
    assert len(events) > 10
    assert set(events[1:-1]) == {"step", "token", "tool_call", "tool_result"}
    assert "docs/serving.md, Shutdown" in done.stdout
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(command[1])))
