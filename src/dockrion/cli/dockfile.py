"""What commands about one agent share: the path argument, the file with variables, the list of secrets."""

from __future__ import annotations

import gc
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockrion.errors import DockrionError

if TYPE_CHECKING:
    from dockrion.spec import Dockfile

DEFAULT_NAME = "Dockfile.yaml"

dockfile_argument = click.argument(
    "path", default=DEFAULT_NAME, type=click.Path(path_type=Path, readable=False), metavar="[PATH]"
)

env_file_option = click.option(
    "-e",
    "--env-file",
    type=click.Path(path_type=Path, readable=False),
    help="File with variables (dotenv or YAML); the shell's own win.",
)


@contextmanager
def reading_only() -> Generator[None]:
    """Read Dockfiles in a process that runs no agent, in less time.

    Plug-ins of pydantic are looked for in all packages that are installed, and have nothing to do with a Dockfile;
    and what one command makes is no garbage before its end.
    """
    name = "PYDANTIC_DISABLE_PLUGINS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def find_dockfile(path: Path) -> Path:
    """Return the Dockfile that `path` means, which may be the folder that holds one."""
    dockfile = path / DEFAULT_NAME if stat.S_ISDIR(_mode(path) or 0) else path
    mode = _mode(dockfile)
    if mode is None:
        raise _no_dockfile(f"{dockfile} not found")
    if stat.S_ISDIR(mode):
        raise _no_dockfile(f"{dockfile} is a folder")
    return dockfile


def show_secrets(dockfile: Dockfile) -> None:
    """Say of each secret where its value is from; never the value."""
    secrets = dockfile.spec.secrets.declared
    width = max((len(secret.name) for secret in secrets), default=0)
    for secret in secrets:
        source = dockfile.environment.sources.get(secret.name, "not set")
        click.echo(f"secret  {secret.name:{width}}  {source}", err=True)


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
