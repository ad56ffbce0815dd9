"""`dockrion version`."""

from __future__ import annotations

import platform

import click

from dockrion.cli.failures import debug_option


@click.command()
@debug_option
def command() -> None:
    """Print the versions of dockrion and Python."""
    show_versions()


def show_versions() -> None:
    import dockrion

    click.echo(f"Dockrion CLI v{dockrion.__version__}")
    click.echo(f"SDK v{dockrion.__version__}")
    click.echo(f"Python {platform.python_version()}")
