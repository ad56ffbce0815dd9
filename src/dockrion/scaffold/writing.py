"""Files written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from errno import ENOTDIR
from pathlib import Path


@dataclass(frozen=True)
class NewFile:
    path: Path
    text: str


def write_whole(path: Path, text: str) -> None:
    """Put `text` in the place of what the file holds, in one step; raise `OSError` and leave it alone.

    A link stays one, and the file keeps its mode.
    """
    target = path.resolve()
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
        with suppress(FileNotFoundError):
            beside.chmod(target.stat().st_mode & 0o7777)
        os.replace(beside, target)  # noqa: PTH105
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


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
