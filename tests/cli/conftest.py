"""A folder with an agent, and the command line in this process or in one of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import pytest

from dockrion.cli import main

SERVICE = """
async def words(payload):
    for word in payload["query"].split():
        yield word

def answer(payload):
    return {"answer": payload["query"].upper()}

def noisy(payload):
    print("noise of the agent")
    return {"answer": "quiet"}

def warns(payload):
    import logging
    logging.getLogger("service").warning("a warning of the agent")
    return {"answer": "careful"}

def fails(payload):
    raise LookupError("no such thing")

def endless(payload):
    import os, signal, time
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
QUERY = {"properties": {"query": {"type": "string"}}, "required": ["query"]}


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def agent(tmp_path: Path) -> Callable[..., Path]:
    """Write a Dockfile beside the agents above; return its path."""

    def write(handler: str = "answer", **sections: Any) -> Path:
        (tmp_path / "service.py").write_text(SERVICE)
        dockfile = {
            "version": "1.0",
            "agent": {"name": "speller", "handler": f"service:{handler}"},
            "io_schema": {"input": QUERY},
            "expose": {},
            **sections,
        }
        path = tmp_path / "Dockfile.yaml"
        path.write_text(json.dumps(dockfile, indent=2))
        return path

    return write


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run the command line in this process: for commands that neither load an agent nor set up logging."""

    def run(*arguments: str | Path) -> Result:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


def dockrion(
    *arguments: str | Path, folder: Path | None = None, stdin: str = "", **environment: str
) -> Result:
    """Run the installed command."""
    done = subprocess.run(
        command_line(arguments),
        cwd=folder,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def command_line(arguments: Sequence[str | Path]) -> list[str]:
    return [str(Path(sys.executable).with_name("dockrion")), *map(str, arguments)]


class Running:
    """A server process of the command line, and what it says on standard error."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        self.url = ""
        # All the time: a server whose log nobody takes waits for somebody who does.
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def until(self, pattern: str) -> str:
        """Read on to the line that has the pattern; return what has been said since the last call."""
        since = ""
        while not re.search(pattern, since, re.MULTILINE):
            line = self._lines.get(timeout=60)
            assert line, f"the server ended: {self.said}"
            since += line
            self.said += line
        return since

    def until_ready(self) -> str:
        """Read on to the end of the banner; return what has been said since the last call."""
        since = self.until(r"^  stop ")
        found = re.findall(r"page +(\S+)/\n", since)
        self.url = found[-1]
        return since

    def invoke(self, payload: Any) -> Any:
        return self.ask("/invoke", json.dumps(payload).encode())["output"]

    def ask(self, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return json.load(response)
        except urllib.error.HTTPError as exc:
            with exc:
                return json.load(exc)

    def close(self) -> None:
        """Kill what is left of it."""
        self.process.kill()
        self.process.wait()
        self._reading.join(20)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        self._lines.put("")

    def end(self, number: int) -> int:
        """Send the signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@contextmanager
def running(*arguments: str | Path) -> Generator[Running]:
    """Run a server on a free port, and kill what is left of it at the end."""
    with _running("run", *arguments, "--host", "127.0.0.1", "--port", "0") as server:
        yield server


@contextmanager
def working(*arguments: str | Path) -> Generator[Running]:
    """Run a worker, and kill what is left of it at the end."""
    with _running("worker", *arguments) as worker:
        yield worker


@contextmanager
def _running(*arguments: str | Path) -> Generator[Running]:
    process = subprocess.Popen(command_line(arguments), stderr=subprocess.PIPE, text=True)
    one = Running(process)
    try:
        yield one
    finally:
        one.close()
