"""Docker: whether the command is there, and whether its daemon answers."""

from __future__ import annotations

import asyncio
import shutil
from typing import Final

from dockrion.doctor.base import Case, Finding, ok, warning

_SECONDS: Final = 6.0
_ONLY: Final = (
    "only `dockrion build` and `dockrion deploy` need it; `dockrion build --no-docker` does without"
)


async def look_at_docker(_: Case) -> list[Finding]:
    program = shutil.which("docker")
    if program is None:
        return [
            warning("the docker command is not installed", f"install Docker, or leave it: {_ONLY}")
        ]
    try:
        async with asyncio.timeout(_SECONDS):
            code, out, err = await _ask(program)
    except TimeoutError:
        return [warning(f"the daemon does not answer within {_SECONDS:g} s", _restart())]
    except OSError as exc:
        return [
            warning(f"{program} cannot be started: {exc.strerror}", f"install Docker anew; {_ONLY}")
        ]
    if code == 0 and out:
        return [ok(f"Docker {out}")]
    if "permission denied" in err.lower():
        return [
            warning(
                "this user may not talk to the Docker daemon",
                f"put the user into the group docker and log in again; {_ONLY}",
            )
        ]
    return [
        warning(f"the daemon does not answer: {_last_line(err) or f'exit code {code}'}", _restart())
    ]


async def _ask(program: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        program,
        "version",
        "--format",
        "{{.Server.Version}}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, out.decode(errors="replace").strip(), err.decode(errors="replace")


def _restart() -> str:
    return f"start Docker (systemctl start docker, or Docker Desktop); {_ONLY}"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
