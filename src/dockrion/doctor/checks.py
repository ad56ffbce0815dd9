"""All checks, and looking at everything at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from dockrion.doctor.agent import look_at_agent
from dockrion.doctor.auth import look_at_auth
from dockrion.doctor.backend import look_at_backend
from dockrion.doctor.base import Case, Check, Finding, Result, error, skipped
from dockrion.doctor.docker import look_at_docker
from dockrion.doctor.dockfile import look_at_dockfile, look_at_secrets
from dockrion.doctor.machine import look_at_log, look_at_open_files
from dockrion.doctor.packages import look_at_dockrion, look_at_packages, look_at_python
from dockrion.doctor.port import look_at_port
from dockrion.doctor.telemetry import look_at_telemetry

logger = logging.getLogger(__name__)

CHECKS: Final = (
    Check("python", look_at_python, needs_dockfile=False),
    Check("dockrion", look_at_dockrion, needs_dockfile=False),
    Check("docker", look_at_docker, needs_dockfile=False),
    Check("Dockfile", look_at_dockfile, needs_dockfile=False),
    Check("secrets", look_at_secrets),
    Check("packages", look_at_packages),
    # It has a limit of its own, which the caller sets.
    Check("agent", look_at_agent, seconds=float("inf")),
    Check("port", look_at_port),
    Check("backend", look_at_backend, seconds=20.0),
    Check("auth", look_at_auth),
    Check("telemetry", look_at_telemetry),
    Check("log", look_at_log),
    Check("open files", look_at_open_files, needs_dockfile=False),
)


def _nothing(_: Sequence[str]) -> None:
    pass


async def examine(
    case: Case, *, on_pending: Callable[[Sequence[str]], None] = _nothing
) -> list[Result]:
    """Make all checks at once; return what they found, in their order.

    `on_pending` gets the names of those that are still looking, each time that one is done.
    """
    pending = [check.name for check in CHECKS]

    async def look(check: Check) -> list[Result]:
        findings = await _look(check, case)
        pending.remove(check.name)
        on_pending(pending)
        return [Result(check.name, finding).without(case.hider) for finding in findings]

    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(look(check)) for check in CHECKS]
    return [result for task in made for result in task.result()]


async def _look(check: Check, case: Case) -> Sequence[Finding]:
    if check.needs_dockfile and case.dockfile is None:
        return [skipped("needs a Dockfile that is valid")]
    limit = None if check.seconds == float("inf") else check.seconds
    try:
        async with asyncio.timeout(limit):
            return await check.look(case)
    except TimeoutError:
        return [error(f"took longer than {check.seconds:g} s", "try again when less is going on")]
    # One check that is wrong about this machine does not take the others with it.
    except Exception as exc:
        logger.debug("check failed", exc_info=exc)
        return [
            error(
                f"cannot be checked: {type(exc).__name__}: {exc}",
                "this is a bug of dockrion; --debug shows the traceback",
            )
        ]
