"""One run of the agent in this process: what `test` and `inspect` have in common."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dockrion.cli.failures import Settings
from dockrion.cli.payload import as_json
from dockrion.cli.showing import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

T = TypeVar("T")


def run_agent(
    dockfile: Path,
    payload: Any,
    settings: Settings,
    *,
    stream: bool = False,
    on_returned: Callable[[Any], None] | None = None,
) -> dict[str, Any]:
    """Run the agent once, and return `{"output": ..., "metadata": ...}`; see `run_once` for what it raises.

    Standard output is left to the output: what the agent prints, and the events of a `stream`, go to standard error.
    """
    from dockrion.runtime.dockfile import load_for_agent
    from dockrion.runtime.local import run_once
    from dockrion.runtime.logs import configure_logging

    line = nullcontext() if stream else progress("The agent is at work")
    with line, redirect_stdout(sys.stderr):
        configure_logging(
            reported=("dockrion.runtime.host",) if settings.debug else ("dockrion",),
            for_people=True,
        )
        spec = load_for_agent(dockfile, strict_secrets=False)
        settings.secrets = spec.secret_values
        return _until_interrupted(
            run_once(spec, payload, on_event=_show if stream else None, on_returned=on_returned)
        )


def _until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; Ctrl-C cancels it and raises `KeyboardInterrupt`.

    Through the loop's own handler: the one of `asyncio.run` is not called while the loop sleeps, when the
    signal came just before that.
    """
    # Who asks for help, or completes a word, runs nothing.
    import asyncio
    import signal

    async def interruptible() -> T:
        task = asyncio.current_task()
        if task is not None and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
        return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _show(event_type: str, data: dict[str, Any]) -> None:
    click.echo(f"{event_type} {as_json(data)}", err=True)
