"""The payload that a command takes (`-p`, `-f`), and where its output goes (`-o`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dockrion.errors import DockrionError, ValidationError

F = TypeVar("F", bound=Callable[..., Any])

output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="File to write the output to, instead of standard output.",
)


def payload_options(command: F) -> F:
    """Give a command `payload` and `payload_file`, for `read_payload`."""
    in_file = click.option(
        "-f",
        "--payload-file",
        type=click.Path(path_type=Path, allow_dash=True, readable=False),
        help="File that holds the input; - reads standard input.",
    )
    return click.option("-p", "--payload", help="The agent's input, as JSON.")(in_file(command))


def payload_text(payload: str | None, payload_file: Path | None) -> bytes:
    """Return what was given, unread; raise click's `UsageError` where it is not one of the two."""
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


def parse_payload(text: bytes, *, of_file: bool) -> Any:
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


def as_json(value: Any, *, indent: int = -1) -> str:
    """Return strict JSON, on one line or with an indent."""
    import msgspec

    from dockrion.events.jsonable import encode

    return msgspec.json.format(encode(value), indent=indent).decode()


def check_place(path: Path) -> None:
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


def show_output(text: str, path: Path | None) -> None:
    """Print the text, or write it to the file that `-o` names."""
    if path is None:
        click.echo(text)
        return
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
