"""Owns the servers under test: starts each as its users do, on a free port, and waits until it is ready."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import processes
from loadclient import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Generator

DOCKRION = "dockrion"
JOINED = "asgi-joined"
EACH = "asgi-each"
FASTAPI = "fastapi"

PEERS = {
    JOINED: "peers.asgi_joined:app",
    EACH: "peers.asgi_each:app",
    FASTAPI: "peers.fastapi_streaming:app",
}
TITLES = {
    DOCKRION: "dockrion",
    JOINED: "bare ASGI, joined",
    EACH: "bare ASGI, a send each",
    FASTAPI: "FastAPI `StreamingResponse`",
}

_HERE = Path(__file__).resolve().parent
_READY_SECONDS = 30
_DOCKFILE = """\
version: "1.0"
agent:
  name: bench
  {agent}
io_schema:
  input:
    type: object
    properties:
      n: {{type: integer}}
      interval: {{type: number}}
      idle: {{type: boolean}}
    required: [n]
  output:
    type: object
    properties:
      content: {{type: string}}
expose:
  host: 127.0.0.1
"""
# `<agent>` + GUARDED is the agent behind an API key and four redaction rules.
GUARDED = "+guarded"
KEY = "bench-key-of-forty-characters-0123456789"
_GUARDS = r"""
auth:
  mode: api_key
policies:
  safety:
    redact_patterns:
      - '[\w.+-]+@[\w-]+\.[\w.]+'
      - '\b\d{3}-\d{2}-\d{4}\b'
      - '\b(?:\d[ -]?){13,16}\b'
      - 'sk-[A-Za-z0-9]{20,}'
"""


@dataclass(frozen=True)
class Server:
    """A server that is ready; `ready_seconds` and `ready_cpu_seconds` is what that took."""

    pid: int
    port: int
    ready_seconds: float
    ready_cpu_seconds: float

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.pid)

    def resident_kb(self) -> int:
        return processes.resident_kb(self.pid)


def dockrion_command() -> str:
    """Return the installed command; raise when this checkout has none that can serve."""
    command = Path(sys.executable).with_name("dockrion")
    parts = ("dockrion.cli", "dockrion.runtime.app")
    try:
        whole = all(importlib.util.find_spec(part) for part in parts)
    except ModuleNotFoundError:
        whole = False
    if not whole or not command.exists():
        raise BenchmarkError(
            f"dockrion is not installed for {sys.executable}; --servers names the others"
        )
    return str(command)


@contextmanager
def serving(
    kind: str, agent: str, *, sections: str = "", variables: dict[str, str] | None = None
) -> Generator[Server]:
    """Serve `agents:<agent>`, or `graphs:<name>` for `graph-<name>`, in a process of its own, as long as the block runs.

    `sections` are further ones of the Dockfile, `variables` of the environment.
    """
    with tempfile.TemporaryDirectory(prefix="dockrion-bench-") as folder:
        log_path = Path(folder, "server.log")
        port = _free_port()
        with log_path.open("wb") as log:
            began = time.perf_counter()
            process = subprocess.Popen(
                _command(kind, agent, port, Path(folder), sections),
                cwd=folder,
                env={
                    **os.environ,
                    "BENCH_AGENT": agent,
                    "LOG_LEVEL": "warn",
                    "DOCKRION_API_KEY": KEY,
                    **(variables or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            _wait_until_ready(process, port, log_path)
            ready = time.perf_counter() - began
            yield Server(process.pid, port, ready, processes.cpu_seconds(process.pid))
            if process.poll() is not None:
                raise BenchmarkError(f"{kind} ended by itself:\n{_tail(log_path)}")
        finally:
            _stop(process)


def _command(kind: str, agent: str, port: int, folder: Path, sections: str) -> list[str]:
    if kind == DOCKRION:
        agent, guarded, _ = agent.partition(GUARDED)
        graph = agent.removeprefix("graph-") if agent.startswith("graph-") else None
        shutil.copy(_HERE / ("agents.py" if graph is None else "graphs.py"), folder)
        named = (
            f"handler: agents:{agent}"
            if graph is None
            else f"framework: langgraph\n  entrypoint: graphs:{graph}"
        )
        dockfile = _DOCKFILE.format(agent=named) + (_GUARDS if guarded else "") + sections
        Path(folder, "Dockfile.yaml").write_text(dockfile)
        return [dockrion_command(), "run", "Dockfile.yaml", "--port", str(port)]
    return [
        *(sys.executable, "-m", "uvicorn", PEERS[kind], "--app-dir", str(_HERE)),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchmarkError(f"the server did not start:\n{_tail(log_path)}")
        if _is_ready(port):
            return
        time.sleep(0.004)
    raise BenchmarkError(f"not ready after {_READY_SECONDS} s:\n{_tail(log_path)}")


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _tail(log_path: Path) -> str:
    return log_path.read_text(errors="replace")[-2000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
