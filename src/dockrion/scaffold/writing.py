"""Several files, written all or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path

from dockrion._files import write_whole


@dataclass(frozen=True)
class NewFile:
    path: Path
    text: str


def write_all(files: Sequence[NewFile]) -> None:
    """Write files and the folders that they need; where one cannot be written, the others are taken back.

    Of a file that was there before, what it held stays when anything goes wrong: the first one is written last.
    """
    made: list[Path] = []
    try:
        for file in reversed(files):
            _make_folder(file.path.parent, made)
            is_new = not file.path.exists()
            write_whole(file.path, file.text)
            if is_new:
                made.append(file.path)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(folder))
    _make_folder(folder.parent, made)
    folder.mkdir()
    made.append(folder)
