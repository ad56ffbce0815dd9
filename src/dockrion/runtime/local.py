"""Running an agent once, in this process, on the one path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockrion.errors import AdapterLoadError, error_for
from dockrion.events.model import Complete, Failed, Interrupt
from dockrion.events.sse import event_fields
from dockrion.runs.schema import check_payload
from dockrion.runtime.host import AgentHost
from dockrion.spec import DockSpec


async def run_once(
    spec: DockSpec,
    payload: Any,
    *,
    on_event: Callable[[str, dict[str, Any]], None] | None = None,
    on_returned: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Load the agent, run it once, and return `{"output": ..., "metadata": ...}`.

    `on_event` gets the type and fields of each event as it comes, the terminal one included; `on_returned` what
    the agent returned, before it is made an output of. Raises the error that a caller over HTTP would be answered with,
    or the one that loading raised.
    """
    host = AgentHost(alone(spec), on_returned=on_returned)
    try:
        if not await host.loaded() or host.runner is None:
            raise host.load_error or AdapterLoadError("The agent could not be loaded.")
        check_payload(host.input_schema, payload)
        if host.injection is not None:
            await host.check_injection(payload)
        run = host.runner.start(payload, streams=on_event is not None, can_ask=False)
        try:
            while True:
                batch = await run.next()
                for event in () if batch is None else batch.events:
                    if on_event is not None:
                        on_event(*event_fields(event))
                if batch is not None and batch.is_last:
                    terminal = batch.events[-1]
                    break
        finally:
            run.leave()
        if isinstance(terminal, Complete):
            return {"output": terminal.output, "metadata": terminal.metadata}
        if isinstance(terminal, Failed):
            raise error_for(terminal.code, terminal.error, details=terminal.details)
        if isinstance(terminal, Interrupt):
            raise error_for(
                "CONFLICT", "The agent waits for an answer, which nobody can give here."
            )
        raise error_for("CONFLICT", "The run was cancelled.")
    finally:
        await host.close()


def alone(spec: DockSpec) -> DockSpec:
    """Return the spec of a process that keeps no runs: it needs no backend, and takes no runs that wait in one."""
    streaming = spec.streaming
    connection = streaming.connection.model_copy(
        update={"on_disconnect": "cancel", "resume_window": 0}
    )
    alone = {"backend": "memory", "async_runs": False, "connection": connection}
    return spec.model_copy(update={"streaming": streaming.model_copy(update=alone)})
