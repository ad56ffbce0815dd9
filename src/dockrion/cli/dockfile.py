"""The path argument that every command about one agent takes."""

from __future__ import annotations

import stat
from pathlib import Path

import click

from dockrion.errors import DockrionError

DEFAULT_NAME = "Dockfile.yaml"

dockfile_argument = click.argument(
    "path", default=DEFAULT_NAME, type=click.Path(path_type=Path, readable=False), metavar="[PATH]"
)


def find_dockfile(path: Path) -> Path:
    """Return the Dockfile that `path` means, which may be the folder that holds one."""
    dockfile = path / DEFAULT_NAME if stat.S_ISDIR(_mode(path) or 0) else path
    mode = _mode(dockfile)
    if mode is None:
        raise _no_dockfile(f"{dockfile} not found")
    if stat.S_ISDIR(mode):
        raise _no_dockfile(f"{dockfile} is a folder")
    return dockfile


def _mode(path: Path) -> int | None:
    """Return what kind of file it is, None when there is none; raise when that cannot be known."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise _no_dockfile(f"{path} cannot be read: {exc.strerror}") from exc


def _no_dockfile(message: str) -> DockrionError:
    error = DockrionError(message)
    error.add_note("go to the agent's folder, or name its Dockfile")
    return error
