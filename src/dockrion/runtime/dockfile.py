"""From the path of a Dockfile to its agent at work in this process: as a server, or for one run."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dockrion.errors import MissingSecretError
from dockrion.runtime.local import run_once
from dockrion.runtime.logs import apply_log_level
from dockrion.spec import DockSpec, read_dockfile

logger = logging.getLogger(__name__)


def run_local(
    path: str | Path,
    host: str | None = None,
    port: int | None = None,
    *,
    env_file: str | Path | None = None,
) -> None:
    """Serve the agent until SIGTERM or Ctrl-C; raise `DockrionError` where that cannot be done."""
    from dockrion.runtime.banner import banner
    from dockrion.runtime.server import serve
    from dockrion.runtime.sockets import open_sockets

    began = time.perf_counter()
    spec = load_for_agent(path, env_file=env_file)
    apply_log_level(spec.observability.log_level)
    address = spec.expose.host if host is None else host
    sockets = open_sockets(address, spec.expose.port if port is None else port)

    def greet() -> None:
        seconds = time.perf_counter() - began
        text = banner(spec, host=address, port=sockets[0].getsockname()[1], seconds=seconds)
        print(text, file=sys.stderr, flush=True)  # noqa: T201  (for the person, not for the log)

    try:
        from dockrion.runtime.app import (
            create_app,
        )  # the slowest import: a taken port is told before it

        serve(create_app(spec), sockets, on_ready=greet)
    finally:
        for sock in sockets:
            sock.close()


def invoke_local(path: str | Path, payload: Any, env_file: str | Path | None = None) -> Any:
    """Run the agent once and return its output; may be called where an event loop runs, and blocks it."""
    spec = load_for_agent(path, env_file=env_file, strict_secrets=False)
    with ThreadPoolExecutor(1, "dockrion-invoke") as thread:
        return thread.submit(asyncio.run, run_once(spec, payload)).result()["output"]


def load_for_agent(
    path: str | Path, *, env_file: str | Path | None = None, strict_secrets: bool = True
) -> DockSpec:
    """Load a Dockfile whose agent is to run here: the variables of its env files join `os.environ`."""
    dockfile = read_dockfile(path, env_file=env_file)
    warnings = dockfile.spec.warnings
    if dockfile.missing_secrets:
        missing = MissingSecretError(dockfile.missing_secrets)
        if strict_secrets:
            raise missing
        warnings.append(missing.message)
    os.environ.update(dockfile.environment.beyond_the_shell())
    for warning in warnings:
        logger.warning(warning)
    return dockfile.spec
