"""A folder with an agent, and the command line in this process or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
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
