"""How a command shows what it does: results on standard output, all else on standard error, colours in terminals only.

Terminals are looked at here, not through `spec`, whose import would take most of the time of a short command.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final, TextIO

import click

# Sooner than that a command needs to say nothing of what it is about.
PATIENCE_SECONDS: Final = 1.0
_PACE_SECONDS: Final = 0.1
_FRAMES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_CLEAR: Final = "\r\x1b[K"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads along on the stream, on a terminal that can do more than print."""
    try:
        return stream.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def styled(text: str, *, stream: TextIO, **style: Any) -> str:
    """Return the text in click's style for a stream that shows colours, else as it is (https://no-color.org)."""
    if is_terminal(stream) and not os.environ.get("NO_COLOR"):
        return click.style(text, **style)
    return text


class Progress:
    """One line on standard error that says what is being done; `label` may change meanwhile."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._began = monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="dockrion-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _turn(self) -> None:
        if self._done.wait(PATIENCE_SECONDS):
            return
        step = 0
        # A terminal that goes away, or cannot show the frame, is no error of the command.
        with suppress(OSError, ValueError):
            while True:
                seconds = int(monotonic() - self._began)
                frame = _FRAMES[step % len(_FRAMES)]
                sys.stderr.write(f"{_CLEAR}{frame} {self.label} ({seconds} s)")
                sys.stderr.flush()
                step += 1
                if self._done.wait(_PACE_SECONDS):
                    break
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()


@contextmanager
def progress(label: str) -> Generator[Progress]:
    """Say on a terminal what is being done, once it takes longer than a second; elsewhere say nothing.

    Whoever prints to the terminal meanwhile does so into that line: print after it.
    """
    line = Progress(label)
    if not is_terminal(sys.stderr):
        yield line
        return
    line.start()
    try:
        yield line
    finally:
        line.stop()


def done(what: str) -> None:
    """Say on standard output that a file was written, or a thing was done."""
    click.echo(f"{styled('✓', stream=sys.stdout, fg='green')} {what}")


def next_steps(commands: list[str]) -> None:
    """Say on standard error what to type next."""
    click.echo("\nNext:", err=True)
    for command in commands:
        click.echo(f"  {styled(command, stream=sys.stderr, bold=True)}", err=True)
