"""The `dockrion` command: parsing and printing only, one file a command, imported when it is used."""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from dockrion.cli.failures import EXIT_ERROR, EXIT_INTERRUPTED, Settings, debug_option, report

if TYPE_CHECKING:
    from collections.abc import Sequence

# Name to what `dockrion --help` says of it; the module of the same name holds the `command`.
COMMANDS = {
    "run": "Serve the agent over HTTP.",
    "schema": "Print the Dockfile's JSON Schema.",
    "test": "Run the agent once and print its output.",
    "validate": "Check a Dockfile without loading the agent.",
    "version": "Print the versions of dockrion and Python.",
}


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0, 1 error, 2 wrong usage, 130 interrupted."""
    _print_what_the_terminal_can()
    settings = Settings()
    try:
        result = cli.main(args, prog_name="dockrion", standalone_mode=False, obj=settings)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:  # also what click makes of Ctrl-C
        return EXIT_INTERRUPTED
    except Exception as exc:
        report(exc, settings)
        return EXIT_ERROR
    return result if isinstance(result, int) else 0


def _print_what_the_terminal_can() -> None:
    # A check mark or an agent's text must not end the command on a terminal that is not UTF-8.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


class Commands(click.Group):
    """Knows every command's name and summary, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"dockrion.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@debug_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn an AI agent into a production HTTP API with live streaming, from one YAML file."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
