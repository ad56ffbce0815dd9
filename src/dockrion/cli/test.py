"""`dockrion test`: one run of the agent, without a server."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.payload import (
    as_json,
    check_place,
    output_option,
    parse_payload,
    payload_options,
    payload_text,
    write_output,
)

T = TypeVar("T")


@click.command()
@dockfile_argument
@payload_options
@output_option
@click.option("-v", "--verbose", is_flag=True, help="Show the run's metadata on standard error.")
@click.option("--stream", is_flag=True, help="Show the events, as they come, on standard error.")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    payload: str | None,
    payload_file: Path | None,
    output: Path | None,
    verbose: bool,
    stream: bool,
) -> None:
    """Run the agent once and print its output, alone, as JSON."""
    text = payload_text(payload, payload_file)
    dockfile = find_dockfile(path)
    value = parse_payload(text, of_file=payload_file is not None)
    if output is not None:
        check_place(output)
    # Standard output is for the output alone: what the agent prints goes where people look.
    with redirect_stdout(sys.stderr):
        result = _run(dockfile, value, settings, stream=stream)
    if verbose:
        click.echo(f"metadata {as_json(result['metadata'])}", err=True)
    rendered = as_json(result["output"], indent=2)
    if output is None:
        click.echo(rendered)
    else:
        write_output(output, rendered)


def _run(dockfile: Path, payload: Any, settings: Settings, *, stream: bool) -> dict[str, Any]:
    from dockrion.runtime.dockfile import load_for_agent
    from dockrion.runtime.local import run_once
    from dockrion.runtime.logs import configure_logging

    configure_logging(
        reported=("dockrion.runtime.host",) if settings.debug else ("dockrion",), for_people=True
    )
    spec = load_for_agent(dockfile, strict_secrets=False)
    settings.secrets = spec.secret_values
    return _until_interrupted(run_once(spec, payload, on_event=_show if stream else None))


def _until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run `work`; Ctrl-C cancels it and raises `KeyboardInterrupt`.

    Through the loop's own handler: the one of `asyncio.run` is not called while the loop sleeps, when the
    signal came just before that.
    """

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
