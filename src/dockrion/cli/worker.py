"""`dockrion worker`: the agent's async runs, executed without a server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockrion.cli.dockfile import (
    dockfile_argument,
    env_file_option,
    find_dockfile,
    show_secrets,
)
from dockrion.cli.failures import Settings, debug_option

if TYPE_CHECKING:
    from dockrion.spec import Dockfile


@click.command()
@dockfile_argument
@env_file_option
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Log what the worker does in detail, and where each secret comes from.",
)
@debug_option
@click.pass_obj
def command(settings: Settings, path: Path, env_file: Path | None, verbose: bool) -> None:
    """Execute async runs, without serving, until Ctrl-C or SIGTERM.

    They come from the backend that the agent's servers share with it: streaming.backend is sqlite (one machine) or
    redis. As many workers as you like may work beside each other.
    """
    dockfile = find_dockfile(path)
    from dockrion.runtime.logs import configure_logging
    from dockrion.runtime.working import work_for_dockfile

    def prepare(read: Dockfile) -> None:
        settings.secrets = read.spec.secret_values
        if verbose:
            show_secrets(read)

    configure_logging(verbose=verbose, reported=("dockrion.runtime.host",))
    work_for_dockfile(dockfile, env_file=env_file, on_read=prepare)
    # An agent that ignored its cancellation is still there; how it takes the interpreter's end is no news.
    sys.unraisablehook = lambda _: None
