"""The path argument that every command about one agent takes."""

from __future__ import annotations

from pathlib import Path

import click

from dockrion.errors import DockrionError

DEFAULT_NAME = "Dockfile.yaml"

dockfile_argument = click.argument(
    "path", default=DEFAULT_NAME, type=click.Path(path_type=Path), metavar="[PATH]"
)


def find_dockfile(path: Path) -> Path:
    """Return the Dockfile that `path` means, which may be the folder that holds one."""
    dockfile = path / DEFAULT_NAME if path.is_dir() else path
    if not dockfile.is_file():
        error = DockrionError(f"{dockfile} not found")
        error.add_note("go to the agent's folder, or name its Dockfile")
        raise error
    return dockfile
