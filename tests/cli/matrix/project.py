"""The folder that every row of the matrix is called in, anew for each."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

SERVICE = """\
import asyncio

def answer(payload):
    return {"answer": payload["query"].upper()}

async def words(payload):
    for word in payload["query"].split():
        yield word

def fails(payload):
    raise LookupError("no such thing")

async def endless(payload):
    print("the agent has begun", flush=True)
    await asyncio.sleep(600)
"""
QUERY = {"properties": {"query": {"type": "string"}}, "required": ["query"]}

# A program that is in place of docker, uv and kubectl: it says what it was called with.
STAND_IN = """\
#!/bin/sh
echo "$(basename "$0") $*" >&2
if [ "$(basename "$0") $1" = "docker version" ]; then echo '{"Server": {"Version": "28.0"}}'; fi
"""
STAND_INS = ("docker", "uv", "kubectl")


def make_project(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "service.py").write_text(SERVICE)
    for name, sections in _DOCKFILES.items():
        (folder / name).write_text(json.dumps({**_BASE, **sections}, indent=2))
    (folder / "broken.yaml").write_text('version: "1.0"\nagent: {name: X}\n')
    (folder / "payload.json").write_text('{"query": "from a file"}')
    (folder / "bad.json").write_text("{query")
    (folder / "vars.env").write_text("SPELLER_KEY=from-the-file\n")
    (folder / "requirements.txt").write_text("# nothing\n")
    logs = folder / ".dockrion_runtime" / "logs"
    logs.mkdir(parents=True)
    (logs / "speller.log").write_text("".join(f"line {number}\n" for number in range(120)))
    (folder / "bin").mkdir()
    for name in STAND_INS:
        program = folder / "bin" / name
        program.write_text(STAND_IN)
        program.chmod(0o755)
    (folder / "empty").mkdir()


_BASE: dict[str, Any] = {
    "version": "1.0",
    "agent": {"name": "speller", "handler": "service:answer"},
    "io_schema": {"input": QUERY},
    "expose": {},
}
_DOCKFILES: dict[str, dict[str, Any]] = {
    "Dockfile.yaml": {},
    "words.yaml": {"agent": {"name": "speller", "handler": "service:words"}},
    "fails.yaml": {"agent": {"name": "speller", "handler": "service:fails"}},
    "endless.yaml": {"agent": {"name": "speller", "handler": "service:endless"}},
    "gone.yaml": {"agent": {"name": "speller", "handler": "service:gone"}},
    "sqlite.yaml": {"streaming": {"backend": "sqlite"}},
    "secret.yaml": {"secrets": {"required": [{"name": "SPELLER_KEY"}]}},
    "authed.yaml": {"auth": {"mode": "api_key"}},
}


def environment_in(folder: Path) -> dict[str, str]:
    """Return the environment of a call: nothing of the one that the tests run in, but what Python needs."""
    python = Path(sys.executable).parent
    shell = Path(shutil.which("sh") or "/bin/sh").parent
    return {
        "PATH": f"{folder / 'bin'}:{python}:{shell}",
        "HOME": str(folder),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
    }
