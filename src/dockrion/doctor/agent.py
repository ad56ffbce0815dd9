"""The agent: loaded in a process of its own, which may hang, end, print or eat memory without harm."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dockrion.doctor.base import Case, Finding, error, info, ok, warning

# What a caller waits for an agent that is still loading, and most probes of a cluster, is not much more.
_SLOW_SECONDS: Final = 10.0
_FRAME: Final = re.compile(r'File "([^"]+)", line (\d+)')
# What the process writes when its time is up.
_TIME_IS_UP: Final = re.compile(r"^Timeout \(\d", re.MULTILINE)
# It keeps its own time, which begins with the agent; this is for one that does not even do that any more.
_SPARE_SECONDS: Final = 60.0
_ENDED_BY: Final = {
    signal.SIGKILL: "; was memory short?",
    signal.SIGSEGV: " (a crash in native code)",
}


async def look_at_agent(case: Case) -> list[Finding]:
    if case.dockfile is not None and case.dockfile.missing_secrets:
        missing = ", ".join(case.dockfile.missing_secrets)
        note = [info(f"loaded without {missing}")]
    else:
        note = list[Finding]()
    with tempfile.TemporaryDirectory(prefix="dockrion-doctor-") as name:
        folder = Path(name)
        code = await _load(case, folder)
        said = (folder / "said").read_text(errors="replace")
        try:
            result = json.loads((folder / "result").read_bytes())
        except FileNotFoundError:
            return [_did_not_tell(case, code, said), *note]
    return [*_told(case, result), *note]


async def _load(case: Case, folder: Path) -> int | None:
    """Load the agent; return the exit code of the process, or None when it took too long."""
    order = {
        "path": str(case.path),
        "env_file": None if case.env_file is None else str(case.env_file),
        "seconds": case.agent_seconds,
        "result": str(folder / "result"),
    }
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the current folder is no place for modules: a server has it neither
            "-m",
            "dockrion.doctor.loading",
            json.dumps(order),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(case.agent_seconds + _SPARE_SECONDS):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        _kill(process)
        await process.wait()


def _kill(process: asyncio.subprocess.Process) -> None:
    """End it and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def _told(case: Case, result: dict[str, Any]) -> list[Finding]:
    if "error" in result:
        return [error(result["error"], result["hint"])]
    seconds = result["seconds"]
    agent = case.spec.agent
    findings = [ok(f"{agent.handler or agent.entrypoint} is loaded in {seconds:.2f} s")]
    if seconds > _SLOW_SECONDS:
        findings.append(
            warning(
                f"loading it takes {seconds:.0f} s, and callers wait meanwhile",
                "load models and indexes once, in a factory (agent.entrypoint); give probes of a cluster a start-up time",
            )
        )
    if case.spec.expose.sse:
        findings += _streaming(result["streams"])
    return findings


def _streaming(streams: str) -> list[Finding]:
    match streams:
        case "yes":
            return [ok("it can stream")]
        case "no":
            return [
                warning(
                    "it cannot stream: callers of /invoke/stream get the whole answer at its end",
                    "give it .stream or .astream, or serve it with a handler that yields",
                )
            ]
        case _:
            return [
                info(
                    "the handler neither yields nor takes `context`, so it streams nothing but its end",
                    "make it a generator, or take a parameter `context` and use context.emit_token",
                )
            ]


def _did_not_tell(case: Case, code: int | None, said: str) -> Finding:
    if code is None or _TIME_IS_UP.search(said):
        place = _own_place(said, case.spec.folder) or _foreign_place(said)
        return error(
            f"it is not loaded after {case.agent_seconds:g} s{f': it is {place}' if place else ''}",
            "nothing may wait for long while a module is imported or a factory runs; --timeout gives it longer",
        )
    if code < 0:
        number = signal.Signals(-code)
        return error(
            f"loading it ended the process by {number.name}{_ENDED_BY.get(number, '')}",
            f"import it by hand: python -X faulthandler -c 'import {_module(case)}'",
        )
    return error(
        f"loading it ended the process with code {code}",
        f"no module may call os._exit; import it by hand: python -c 'import {_module(case)}'",
    )


def _module(case: Case) -> str:
    agent = case.spec.agent
    return (agent.handler or agent.entrypoint or "").partition(":")[0]


def _own_place(said: str, folder: Path) -> str | None:
    """Return the line of the agent's own code that is furthest in, of the stacks that the process has left."""
    for match in _FRAME.finditer(said):
        path = Path(match[1])
        if path.is_relative_to(folder) and "site-packages" not in path.parts:
            return f"at {path.relative_to(folder)}, line {match[2]}"
    return None


def _foreign_place(said: str) -> str | None:
    """Return the package that was being imported or asked: the first that is neither the agent's own nor dockrion."""
    for stack in said.split("\n\n"):
        packages = [
            parts[parts.index("site-packages") + 1]
            for match in _FRAME.finditer(stack)
            if "site-packages" in (parts := Path(match[1]).parts)
        ]
        # Stacks start with what was called last.
        for package in reversed(packages):
            if not package.startswith("dockrion"):
                return f"in the package {package}"
    return None
