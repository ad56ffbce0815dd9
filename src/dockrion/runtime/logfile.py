"""The log file of an agent, `.dockrion_runtime/logs/<agent>.log` beside its Dockfile: never more than 60 MB.

Several worker processes may write one file. Each write is whole lines in one call, appended, so lines never
mix; the file that has reached `MAX_BYTES` is renamed by one of them, and the others find out before they write.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 10_000_000
# `<agent>.log.1` is the newest of the old ones.
OLD_FILES: Final = 5
FOLDER: Final = Path(".dockrion_runtime", "logs")


def log_path(folder: Path, agent: str) -> Path:
    """Return where the log of an agent is whose Dockfile is in `folder`."""
    return folder / FOLDER / f"{agent}.log"


def files_of(path: Path) -> list[Path]:
    """Return where the lines of a log may be, newest file first."""
    return [path, *(_old(path, number) for number in range(1, OLD_FILES + 1))]


class LogFile:
    """Appends to `path`, whose folder it makes; raises `OSError` where that cannot be done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = _open(path)

    def write(self, lines: bytes) -> bool:
        """Append whole lines; false when that cannot be done any more."""
        try:
            self._follow(len(lines))
            os.write(self._descriptor, lines)
        except OSError:
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _follow(self, more: int) -> None:
        """Have the file open that is to take `more` bytes: at `path`, and not full."""
        size = self._size()
        if size > 0 and size + more > MAX_BYTES:
            with _alone(self.path.parent):
                # Another process may have been quicker.
                size = self._size()
                if size > 0 and size + more > MAX_BYTES:
                    self.close()
                    _shift(self.path)
                    self._reopen()

    def _size(self) -> int:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            self._reopen()
            return 0
        if not os.path.samestat(there, os.fstat(self._descriptor)):
            self._reopen()
        return there.st_size

    def _reopen(self) -> None:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = _open(self.path)


def _open(path: Path) -> int:
    # Readable by its owner alone: agents may log what is not for everybody.
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _shift(path: Path) -> None:
    """Rename the file and the old ones, each to the next number; the oldest goes."""
    for number in range(OLD_FILES - 1, 0, -1):
        old = _old(path, number)
        if old.exists():
            old.replace(_old(path, number + 1))
    path.replace(_old(path, 1))


def _old(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Keep other processes from renaming in `folder`."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
