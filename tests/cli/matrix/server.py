"""A process that has the command line imported and forks for each call, so that a call on a real terminal costs little.

Run as a script: it reads a call as a JSON line on standard input, and answers with one.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dockrion.cli import main
from dockrion.cli.commands import COMMANDS
from dockrion.spec import validate_dockspec

SECONDS = 60.0
COLUMNS = 100
# What commands import when they run: once here, instead of in every fork.
LATER = (
    *(f"dockrion.cli.{name}" for name in COMMANDS),
    "dockrion.build.image",
    "dockrion.build.manifests.applying",
    "dockrion.build.manifests.compose",
    "dockrion.build.manifests.kubernetes",
    "dockrion.client",
    "dockrion.doctor.checks",
    "dockrion.runtime.app",
    "dockrion.runtime.dockfile",
    "dockrion.runtime.serving",
    "dockrion.runtime.working",
    "dockrion.scaffold.project",
    "dockrion.spec.editing",
)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. On a terminal, what is typed is `typed`; `interrupt_at` is the text at which Ctrl-C is pressed."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    typed: str
    terminal: bool
    interrupt_at: str
    encoding: str


class Streams:
    """What a call has for standard input, output and error: one terminal, or three pipes."""

    def __init__(self, *, terminal: bool) -> None:
        self.terminal = terminal
        if terminal:
            self.ours, self._theirs = pty.openpty()
            fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
            self.typing = self.ours
            self._child = [self._theirs] * 3
            self.reading = {self.ours: "out"}
        else:
            stdin, self.typing = os.pipe()
            out, stdout = os.pipe()
            err, stderr = os.pipe()
            self._child = [stdin, stdout, stderr]
            self.reading = {out: "out", err: "err"}

    def become_standard(self, encoding: str) -> None:
        """In the child: take the place of its standard streams."""
        if self.terminal:
            os.setsid()
            fcntl.ioctl(self._theirs, termios.TIOCSCTTY, 0)
        for number, stream in enumerate(self._child):
            os.dup2(stream, number)
        os.closerange(3, 256)
        sys.stdin = os.fdopen(0, encoding=encoding)
        sys.stdout = os.fdopen(1, "w", encoding=encoding, buffering=1 if self.terminal else -1)
        sys.stderr = os.fdopen(2, "w", encoding=encoding, buffering=1)

    def let_go(self) -> None:
        """In the parent: leave the child's ends to the child."""
        for stream in set(self._child):
            os.close(stream)

    def close(self) -> None:
        for stream in {self.typing, *self.reading}:
            os.close(stream)


def answer(call: Call) -> dict[str, Any]:
    streams = Streams(terminal=call.terminal)
    pid = os.fork()
    if pid == 0:
        _be_called(call, streams)
    streams.let_go()
    os.write(streams.typing, call.typed.encode())
    if not call.terminal:
        os.close(streams.typing)
        streams.typing = next(iter(streams.reading))
    try:
        said = _listen(call, streams, pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        streams.close()
    return {"code": os.waitstatus_to_exitcode(status), **said}


def _be_called(call: Call, streams: Streams) -> None:
    code = 99
    try:
        streams.become_standard(call.encoding)
        os.chdir(call.folder)
        os.environ.clear()
        os.environ.update(call.environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main(call.arguments)
        sys.stdout.flush()
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _listen(call: Call, streams: Streams, pid: int) -> dict[str, str]:
    said = {"out": b"", "err": b""}
    waiting = set(streams.reading)
    mark = call.interrupt_at.encode()
    until = time.monotonic() + SECONDS
    again = until
    while waiting:
        soon = min(until, again)
        ready, _, _ = select.select(list(waiting), [], [], max(0, soon - time.monotonic()))
        if not ready and soon < until:
            # `input` misses a signal that comes just before it waits; whoever sits there presses once more.
            again = until
            os.write(streams.typing, b"\x03")
            continue
        if not ready:
            said["err"] += b"\n(it took too long)\n"
            break
        for stream in ready:
            piece = _read(stream)
            if not piece:
                waiting.discard(stream)
            said[streams.reading[stream]] += piece
        if mark and mark in said["out"] + said["err"]:
            mark = b""
            if call.terminal:
                os.write(streams.typing, b"\x03")
                again = time.monotonic() + SECONDS / 4
            else:
                os.kill(pid, signal.SIGINT)
    # With all its streams closed it ends now; a kill would hide its code.
    while not waiting and time.monotonic() < until:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            break
        time.sleep(0.001)
    return {name: text.decode("utf-8", "replace") for name, text in said.items()}


def _read(stream: int) -> bytes:
    try:
        return os.read(stream, 1 << 16)
    except OSError:  # a terminal that nobody has open any more
        return b""


def serve() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for module in LATER:
        import_module(module)
    # The models are built by the first look at a Dockfile.
    validate_dockspec(Path(sys.argv[1]))
    gc.freeze()
    for line in sys.stdin:
        answers.write(json.dumps(answer(Call(**json.loads(line)))) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
