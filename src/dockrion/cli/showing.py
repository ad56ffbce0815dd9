"""How a command shows what it does: results on standard output, all else on standard error, colours in terminals only.

Terminals are looked at here, not through `spec`, whose import would take most of the time of a short command.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any, Final, TextIO, cast

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
    """The last line on standard error, which says what is being done; `label` may change meanwhile."""

    def __init__(self, label: str, errors: TextIO) -> None:
        self.label = label
        self._errors = errors
        self._lock = threading.Lock()
        self._is_shown = False
        # Whether the cursor is where a line begins: what others began is theirs to end.
        self._is_free = True
        self._began = monotonic()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._turn, name="dockrion-progress", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def write(self, text: str) -> int:
        """Write what somebody else says, above the line."""
        with self._lock:
            self._clear()
            self._is_free = text.endswith("\n") or (self._is_free and not text)
            return self._errors.write(text)

    def _turn(self) -> None:
        if self._done.wait(PATIENCE_SECONDS):
            return
        step = 0
        # A terminal that goes away, or cannot show the frame, is no error of the command.
        with suppress(OSError, ValueError):
            while True:
                with self._lock:
                    self._show(_FRAMES[step % len(_FRAMES)])
                step += 1
                if self._done.wait(_PACE_SECONDS):
                    break
            with self._lock:
                self._clear()
                self._errors.flush()

    def _show(self, frame: str) -> None:
        if self._is_free:
            seconds = int(monotonic() - self._began)
            self._errors.write(f"{_CLEAR}{frame} {self.label} ({seconds} s)")
            self._errors.flush()
            self._is_shown = True

    def _clear(self) -> None:
        if self._is_shown:
            self._errors.write(_CLEAR)
            self._is_shown = False


class _Errors:
    """Standard error, as everybody else has it while there is a line of progress."""

    def __init__(self, errors: TextIO, line: Progress) -> None:
        self._errors = errors
        self._line = line

    def write(self, text: str) -> int:
        return self._line.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        self.write("".join(lines))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._errors, name)


@contextmanager
def progress(label: str) -> Generator[Progress]:
    """Say on a terminal what is being done, once it takes longer than a second; elsewhere say nothing.

    What is written to `sys.stderr` meanwhile comes above that line.
    """
    errors = sys.stderr
    line = Progress(label, errors)
    if not is_terminal(errors):
        yield line
        return
    shared = cast("TextIO", _Errors(errors, line))
    line.start()
    sys.stderr = shared
    try:
        yield line
    finally:
        if sys.stderr is shared:
            sys.stderr = errors
        line.stop()


def done(what: str) -> None:
    """Say on standard output that a file was written, or a thing was done."""
    click.echo(f"{styled('✓', stream=sys.stdout, fg='green')} {what}")


def next_steps(commands: list[str]) -> None:
    """Say on standard error what to type next."""
    click.echo("\nNext:", err=True)
    for command in commands:
        click.echo(f"  {styled(command, stream=sys.stderr, bold=True)}", err=True)
