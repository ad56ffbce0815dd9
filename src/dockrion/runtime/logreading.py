"""Reading the log file of an agent back: its last lines, and what comes after them, across renamed files."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, Final

from dockrion.runtime.logfile import files_of

_BLOCK: Final = 1 << 16


class LogReader:
    """Reads the log at `path`; raises `OSError`. `read` has the files that were opened."""

    def __init__(self, path: Path) -> None:
        self.read: list[Path] = []
        self._path = path
        self._file: BinaryIO | None = None

    def last(self, lines: int) -> list[bytes]:
        """Return the last lines, as they stand there; of a large file only its end is read.

        `more` goes on behind them. The newest line may be without its end, when it is being written.
        """
        pieces: list[bytes] = []
        wanted = lines
        for path in files_of(self._path):
            if self._file is not None and wanted <= 0:
                break
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            piece = _tail(file, wanted)
            pieces.append(piece)
            wanted -= piece.count(b"\n") + (not piece.endswith(b"\n") and piece != b"")
            self.read.append(path)
            if self._file is None:
                self._file = file
            else:
                file.close()
        return pieces[::-1]

    def more(self) -> Generator[bytes]:
        """Yield what has been written since; where the file was renamed, first its rest, then the newer ones."""
        yield from self._rest()
        for path in self._newer():
            self.close()
            try:
                self._file = path.open("rb")
            except FileNotFoundError:
                return
            yield from self._rest()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _rest(self) -> Generator[bytes]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # emptied in its place
        while piece := self._file.read(_BLOCK):
            yield piece

    def _newer(self) -> list[Path]:
        """Return the files that were begun after the one that is open, oldest first."""
        mine = None if self._file is None else os.fstat(self._file.fileno())
        newer: list[Path] = []
        for path in files_of(self._path):
            try:
                there = path.stat()
            except FileNotFoundError:
                continue
            if mine is not None and os.path.samestat(there, mine):
                break
            newer.append(path)
            if mine is None:
                break
        return newer[::-1]


def _tail(file: BinaryIO, lines: int) -> bytes:
    """Return the last lines; the file is at its end then."""
    end = file.seek(0, os.SEEK_END)
    found = b""
    at = end
    # One line end more than lines are wanted: the one in front of them.
    while at > 0 and lines > 0 and found.count(b"\n", 0, -1) < lines:
        size = min(max(_BLOCK, len(found)), at)
        at -= size
        file.seek(at)
        found = file.read(size) + found
    file.seek(end)
    start = len(found) - found.endswith(b"\n")
    for _ in range(lines):
        start = found.rfind(b"\n", 0, start)
        if start < 0:
            return found
    return found[start + 1 :] if lines > 0 else b""
