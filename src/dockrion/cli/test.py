"""`dockrion test`: one run of the agent, without a server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, TypeVar

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile
from dockrion.cli.failures import Settings, debug_option
from dockrion.errors import DockrionError, ValidationError

T = TypeVar("T")


@click.command()
@dockfile_argument
@click.option("-p", "--payload", help="The agent's input, as JSON.")
@click.option(
    "-f",
    "--payload-file",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    help="File that holds the input; - reads standard input.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="File to write the output to, instead of standard output.",
)
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
    text = _payload_text(payload, payload_file)
    dockfile = find_dockfile(path)
    value = _parse(text, of_file=payload_file is not None)
    if output is not None:
        _check_place(output)
    # Standard output is for the output alone: what the agent prints goes where people look.
    with redirect_stdout(sys.stderr):
        result = _run(dockfile, value, settings, stream=stream)
    if verbose:
        click.echo(f"metadata {_json(result['metadata'])}", err=True)
    rendered = _json(result["output"], indent=2)
    if output is None:
        click.echo(rendered)
    else:
        _write(output, rendered)


def _payload_text(payload: str | None, payload_file: Path | None) -> bytes:
    if (payload is None) == (payload_file is None):
        raise click.UsageError("Give the payload with either -p/--payload or -f/--payload-file.")
    if payload is not None:
        return os.fsencode(payload)
    if str(payload_file) == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(str(payload_file)).read_bytes()
    except FileNotFoundError as exc:
        error = DockrionError(f"{payload_file} not found")
        error.add_note("-f names a file that holds the payload; -p takes the payload itself")
        raise error from exc
    except OSError as exc:
        error = DockrionError(f"{payload_file} cannot be read: {exc.strerror}")
        error.add_note("-f names a file that holds the payload, and - is standard input")
        raise error from exc


def _parse(text: bytes, *, of_file: bool) -> Any:
    from dockrion.runtime.requests import decode_payload

    try:
        return decode_payload(text, name="the payload")
    except ValidationError as exc:
        exc.add_note(
            "a payload is one JSON value in UTF-8"
            if of_file
            else """quote it for the shell: -p '{"query": "hello"}'"""
        )
        raise


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
    click.echo(f"{event_type} {_json(data)}", err=True)


def _json(value: Any, *, indent: int = -1) -> str:
    import msgspec

    from dockrion.events.jsonable import encode

    return msgspec.json.format(encode(value), indent=indent).decode()


def _check_place(path: Path) -> None:
    """Raise, before the agent costs anything, where its output could not be written."""
    if path.is_dir():
        reason = "it is a folder"
    elif not path.parent.is_dir():
        reason = f"there is no folder {path.parent}"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        reason = "Permission denied"
    else:
        return
    raise _unwritable(path, reason)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(f"{text}\n", encoding="utf-8")
    except OSError as exc:
        # The run is paid for: what came of it is shown.
        click.echo(text)
        raise _unwritable(path, str(exc.strerror)) from exc


def _unwritable(path: Path, reason: str) -> DockrionError:
    error = DockrionError(f"{path} cannot be written: {reason}")
    error.add_note("-o names a file in a folder that is there; without it the output is printed")
    return error
