"""A real server process: started on a free port with an agent of the test, stopped by SIGTERM."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

DOCKRION_RUN = (Path(sys.executable).with_name("dockrion"), "run", "Dockfile.yaml")
AGENTS = Path(__file__).with_name("agents")
HOST = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
# Hypothesis has the seed of the common one.
_CHANCE = random.SystemRandom()


def agent_source(name: str) -> str:
    """Return the source of one of the agents in `agents/`."""
    return (AGENTS / f"{name}.py").read_text()


class Server:
    """One running server, and the folder with its Dockfile, agent and log.

    `command` serves the folder's Dockfile, given `--host` and `--port`.
    """

    def __init__(
        self,
        folder: Path,
        handler_source: str,
        *,
        handler: str,
        sections: dict[str, Any],
        command: Sequence[str | Path] = DOCKRION_RUN,
    ) -> None:
        (folder / "service.py").write_text(handler_source)
        # JSON is YAML, and needs no quoting rules of ours.
        (folder / "Dockfile.yaml").write_text(json.dumps(_dockfile(handler, sections), indent=2))
        self.folder = folder
        self.command = command
        self.port = 0
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def get(self, path: str, *, timeout: float = 5.0) -> tuple[int, Any]:
        """Ask on a connection of its own; return the status and the JSON."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a process that has ended already gets none."""
        self.process.send_signal(number)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the server and all processes that it has started, as a terminal does on Ctrl-C."""
        os.killpg(self.process.pid, number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Return the exit code; a server that stays is killed and fails the test."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the server did not stop within {seconds} s\n{self.log}"
            ) from None

    def start_again(self) -> None:
        """Start it once more, after its end, on the same port."""
        self.process = self._spawn()
        assert self._is_up(self.process), self.log

    def kill(self) -> None:
        if self.process.poll() is None:
            self.signal_group(signal.SIGKILL)
            self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        for _ in range(3):
            self.port = free_port()
            process = self._spawn()
            if self._is_up(process):
                return process
            if "already in use" not in self.log:
                break
        raise AssertionError(f"the server did not start\n{self.log}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [*self.command, "--port", str(self.port), "--host", HOST]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def _is_up(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            try:
                if self.get("/ready")[0] == 200:
                    return True
            except OSError:
                pass
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
                return False
            time.sleep(0.02)
        return False


def free_port() -> int:
    """Return a port that nobody listens on, outside the range that the kernel gives to outgoing connections.

    Processes of pytest that run side by side have ranges of their own.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = 12000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    first = 20000 + number * share
    for port in _CHANCE.sample(range(first, first + share), 50):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


def _dockfile(handler: str, sections: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "1.0",
        "agent": {"name": "e2e", "handler": f"service:{handler}"},
        "io_schema": {},
        "expose": {},
        **sections,
    }
