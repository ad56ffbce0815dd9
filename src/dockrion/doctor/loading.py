"""The process in which `dockrion doctor` loads the agent: it writes what came of it into a file, and ends."""

from __future__ import annotations

import asyncio
import faulthandler
import inspect
import json
import os
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from dockrion.adapters.callables import accepts
from dockrion.adapters.loading import import_object
from dockrion.errors import (
    CallableMissingError,
    DockrionError,
    InvalidAgentError,
    MissingExtraError,
    ModuleMissingError,
)
from dockrion.runtime.dockfile import load_for_agent
from dockrion.runtime.host import AgentHost
from dockrion.runtime.local import alone
from dockrion.spec import DockSpec


def main() -> None:
    order = json.loads(sys.argv[1])
    spec = load_for_agent(order["path"], env_file=order["env_file"], strict_secrets=False)
    # The one limit that holds whatever the agent does; the stacks of all threads say where it was.
    faulthandler.dump_traceback_later(order["seconds"], exit=True)
    result = asyncio.run(_load(spec))
    # Whole or not at all: whoever reads it takes no half of one.
    written = Path(f"{order['result']}.part")
    written.write_text(json.dumps(result))
    written.replace(order["result"])
    # Threads of the agent's own, and what it has registered for the end, keep nobody waiting.
    os._exit(0)


async def _load(spec: DockSpec) -> dict[str, Any]:
    host = AgentHost(alone(spec))
    began = perf_counter()
    try:
        await host.loaded()
        seconds = perf_counter() - began
        if host.load_error is not None:
            return {"error": host.load_error.message, "hint": _hint(host.load_error)}
        return {"seconds": seconds, "streams": _streams(spec, host.description or {})}
    finally:
        await host.close()


def _hint(error: DockrionError) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    match error:
        case _ if notes:
            return notes[0]
        case MissingExtraError():
            return "install the package and try again"
        case ModuleMissingError():
            return "modules are looked up from the Dockfile's folder"
        case CallableMissingError() | InvalidAgentError():
            return "check agent.handler and agent.entrypoint in the Dockfile"
        case _:
            return "`dockrion test --debug -p '{}'` shows the traceback"


def _streams(spec: DockSpec, description: dict[str, Any]) -> str:
    if description.get("type") != "handler":
        return "yes" if description.get("streaming", True) else "no"
    assert spec.agent.handler is not None
    function = import_object(spec.agent.handler, field="agent.handler", folder=spec.folder)
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    yields = inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called)
    return "yes" if yields or accepts(function, "context") else "unlikely"


if __name__ == "__main__":
    main()
