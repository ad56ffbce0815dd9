"""The port that the Dockfile names: free, or who has it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import httpx2

from dockrion.doctor.base import Case, Finding, error, ok
from dockrion.errors import DockrionError
from dockrion.runtime.banner import WILDCARD_HOSTS
from dockrion.runtime.sockets import open_sockets

_SECONDS: Final = 2.0
_HINT: Final = "end it, or choose another port: expose.port in the Dockfile, or --port"
_LISTENS: Final = "0A"


async def look_at_port(case: Case) -> list[Finding]:
    host, port = case.spec.expose.host, case.spec.expose.port
    where = f"port {port} on {host}"
    try:
        # Names are looked up, which may take a while.
        sockets = await asyncio.to_thread(open_sockets, host, port)
    except DockrionError as exc:
        if "already in use" not in exc.message:
            notes: list[str] = getattr(exc, "__notes__", [])
            return [error(exc.message, notes[0] if notes else _HINT)]
    else:
        for sock in sockets:
            sock.close()
        return [ok(f"{where} is free")]
    agent = await _agent_at("127.0.0.1" if host in WILDCARD_HOSTS else host, port)
    process = await asyncio.to_thread(_process_at, port)
    if agent == case.spec.agent.name:
        return [ok(f"{where}: this agent is served there now{_by(process)}")]
    whose = f" by the agent {agent!r}" if agent else ""
    return [error(f"{where} is in use{whose}{_by(process)}", _HINT)]


def _by(process: str | None) -> str:
    return f" ({process})" if process else ""


async def _agent_at(host: str, port: int) -> str | None:
    """Return the name of the agent that dockrion serves there, if it does."""
    address = f"[{host}]" if ":" in host else host
    try:
        async with httpx2.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            answer: Any = (await client.get(f"http://{address}:{port}/health")).json()
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError):
        return None
    if not isinstance(answer, dict):
        return None
    health = cast("dict[str, Any]", answer)
    name = health.get("agent")
    is_ours = isinstance(name, str) and health.get("service") == f"runtime:{name}"
    return cast("str", name) if is_ours else None


def _process_at(port: int) -> str | None:
    """Return number and command of the process that listens, where Linux tells; of other users' it does not."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not sockets:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is none of ours
            for opened in (folder / "fd").iterdir():
                if os.readlink(opened) in sockets:  # noqa: PTH115  (not a path)
                    words = (folder / "cmdline").read_bytes().split(b"\0")
                    names = [os.path.basename(word.decode(errors="replace")) for word in words[:2]]  # noqa: PTH119
                    return f"process {folder.name}: {' '.join(names).strip()}"
    return None


def _inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = re.split(r"\s+", line.strip())
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
