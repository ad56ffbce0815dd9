"""`dockrion run`: the agent as an HTTP server."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile
from dockrion.cli.failures import debug_option


@click.command()
@dockfile_argument
@click.option("--host", help="Address to listen on, instead of expose.host.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on, instead of expose.port; 0 takes a free one.",
)
@click.option(
    "-e",
    "--env-file",
    type=click.Path(path_type=Path),
    help="File with variables (dotenv or YAML); the shell's own win.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log what the server does in detail.")
@debug_option
def command(
    path: Path, host: str | None, port: int | None, env_file: Path | None, verbose: bool
) -> None:
    """Serve the agent over HTTP until Ctrl-C or SIGTERM."""
    dockfile = find_dockfile(path)
    from dockrion.runtime.dockfile import run_local
    from dockrion.runtime.logs import configure_logging

    configure_logging(verbose=verbose, reported=("dockrion.runtime.host",))
    run_local(dockfile, host, port, env_file=env_file)
    # An agent that ignored its cancellation is still there; how it takes the interpreter's end is no news.
    sys.unraisablehook = lambda _: None
