"""`dockrion run`: the agent as an HTTP server."""

from __future__ import annotations

import logging
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
from dockrion.cli.failures import Settings, debug_option, report

if TYPE_CHECKING:
    from dockrion.spec import Dockfile

logger = logging.getLogger(__name__)


def _some_text(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("must not be blank; 0.0.0.0 listens on every address.")
    return value


@click.command()
@dockfile_argument
@click.option("--host", callback=_some_text, help="Address to listen on, instead of expose.host.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on, instead of expose.port; 0 takes a free one.",
)
@click.option(
    "-r",
    "--reload",
    is_flag=True,
    help="Start anew when a file in the Dockfile's folder or an env file changes.",
)
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes that serve; more than one needs a backend that they share.",
)
@env_file_option
@click.option(
    "--install",
    is_flag=True,
    help="First install the requirements.txt beside the Dockfile into this environment.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Log what the server does in detail, and where each secret comes from.",
)
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    host: str | None,
    port: int | None,
    reload: bool,
    workers: int,
    env_file: Path | None,
    install: bool,
    verbose: bool,
) -> None:
    """Serve the agent over HTTP until Ctrl-C or SIGTERM."""
    if reload and workers > 1:
        raise click.UsageError("--reload serves with one process: give it, or --workers.")
    dockfile = find_dockfile(path)
    if install:
        # Before anything else is imported that it may replace.
        from dockrion.build.requirements import install_requirements

        install_requirements(dockfile.parent)
    from dockrion.runtime.logs import configure_logging
    from dockrion.runtime.serving import Serving, serve_dockfile

    def prepare(read: Dockfile) -> None:
        settings.secrets = read.spec.secret_values
        if verbose:
            show_secrets(read)
        _write_runtime(dockfile, read)

    configure_logging(verbose=verbose, reported=("dockrion.runtime.host",))
    serve_dockfile(
        Serving(
            path=dockfile,
            host=host,
            port=port,
            env_file=env_file,
            workers=workers,
            reload=reload,
            verbose=verbose,
            debug=settings.debug,
            on_read=prepare,
            on_error=lambda error: report(error, settings),
        )
    )
    # An agent that ignored its cancellation is still there; how it takes the interpreter's end is no news.
    sys.unraisablehook = lambda _: None


def _write_runtime(path: Path, dockfile: Dockfile) -> None:
    from dockrion.build.runtime_files import RUNTIME_FOLDER, write_runtime
    from dockrion.errors import DeploymentError

    try:
        write_runtime(path, dockfile.spec)
    except OSError as exc:
        # The server does not need it: a folder that is read-only stops nothing.
        logger.warning("%s cannot be written: %s", RUNTIME_FOLDER, exc.strerror)
    except DeploymentError as exc:
        # What runs here is installed already.
        logger.warning("%s lacks requirements.txt: %s", RUNTIME_FOLDER, exc.message)
