"""From the path of a Dockfile to its agent at work in this process: as a server, or for one run."""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dockrion.errors import MissingSecretError
from dockrion.runtime.local import run_once
from dockrion.runtime.logs import log_as
from dockrion.spec import Dockfile, DockSpec, read_dockfile

logger = logging.getLogger(__name__)


def run_local(
    path: str | Path,
    host: str | None = None,
    port: int | None = None,
    reload: bool = False,
    env_file: str | Path | None = None,
) -> None:
    """Serve the agent until SIGTERM or Ctrl-C; raise `DockrionError` where that cannot be done.

    With `reload` a process of its own serves, anew after each change; see `dockrion run --reload`.
    """
    from dockrion.runtime.serving import Serving, serve_dockfile

    serve_dockfile(
        Serving(
            path=Path(path),
            host=host,
            port=port,
            reload=reload,
            env_file=None if env_file is None else Path(env_file),
        )
    )


def invoke_local(path: str | Path, payload: Any, env_file: str | Path | None = None) -> Any:
    """Run the agent once and return its output; may be called where an event loop runs, and blocks it."""
    spec = load_for_agent(path, env_file=env_file, strict_secrets=False)
    with ThreadPoolExecutor(1, "dockrion-invoke") as thread:
        return thread.submit(asyncio.run, run_once(spec, payload)).result()["output"]


def load_for_agent(
    path: str | Path, *, env_file: str | Path | None = None, strict_secrets: bool = True
) -> DockSpec:
    """Load a Dockfile whose agent is to run here: the variables of its env files join `os.environ`."""
    dockfile = read_for_agent(path, env_file=env_file, strict_secrets=strict_secrets)
    enter(dockfile)
    return dockfile.spec


def read_for_agent(
    path: str | Path,
    *,
    env_file: str | Path | None = None,
    strict_secrets: bool = True,
    warn: bool = True,
) -> Dockfile:
    """Read a Dockfile whose agent is to run, here or in another process, and log what is doubtful about it."""
    dockfile = read_dockfile(path, env_file=env_file)
    log_as(dockfile.spec)
    warnings = dockfile.spec.warnings
    if dockfile.missing_secrets:
        missing = MissingSecretError(dockfile.missing_secrets)
        if strict_secrets:
            raise missing
        warnings.append(missing.message)
    for warning in warnings if warn else ():
        logger.warning(warning)
    return dockfile


def enter(dockfile: Dockfile) -> None:
    """Let the agent see the variables of the env files, and the defaults of secrets."""
    os.environ.update(dockfile.environment.beyond_the_shell())
