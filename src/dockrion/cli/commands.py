"""The commands as one group, of which each is imported when it is called."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from dockrion.cli.failures import EXIT_ERROR, Settings, debug_option, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem

# Name to what `dockrion --help` says of it; the module of the same name holds the `command`.
COMMANDS = {
    "add": "Add a section to a Dockfile; the rest stays as it is.",
    "build": "Build the agent's image.",
    "completion": "Print the script that completes words in a shell.",
    "deploy": "Run the agent with Docker Compose or on Kubernetes.",
    "doctor": "Look for what is wrong.",
    "init": "Start a project, with an agent that runs as it is.",
    "inspect": "Run the agent once and look at its output.",
    "invoke": "Run the agent at URL once and print its output.",
    "logs": "Print what an agent has logged.",
    "run": "Serve the agent over HTTP.",
    "schema": "Print the Dockfile's JSON Schema.",
    "test": "Run the agent once and print its output.",
    "validate": "Check a Dockfile without loading the agent.",
    "version": "Print the versions of dockrion and Python.",
    "worker": "Execute async runs, without serving.",
}


def execute(args: Sequence[str] | None) -> int:
    """Run the command line and return its exit code."""
    _open_what_is_closed()
    _print_what_the_terminal_can()
    settings = Settings()
    try:
        result = cli.main(args, prog_name="dockrion", standalone_mode=False, obj=settings)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except click.Abort:  # what click makes of Ctrl-C
        raise KeyboardInterrupt from None
    except Exception as exc:
        report(exc, settings)
        return EXIT_ERROR
    return result if isinstance(result, int) else 0


def _open_what_is_closed() -> None:
    """Open the standard streams that the process was started without.

    Else a socket or a file takes the place of one, and gets what is written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one.
            opened = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(opened, "w" if number else "r", encoding="utf-8"))


def _print_what_the_terminal_can() -> None:
    # A check mark or an agent's text must not end the command on a terminal that is not UTF-8.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


class Commands(click.Group):
    """Knows every command's name and summary, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        nearest = get_close_matches(args[0], COMMANDS, n=1)
        if nearest and args[0] not in COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {nearest[0]!r}?")
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"dockrion.cli.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # click would import all commands for what it says of them.
        from click.shell_completion import CompletionItem

        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name]) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from dockrion.cli.version import show_versions

        show_versions()
        ctx.exit()


@click.command(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the versions of dockrion and Python.",
)
@debug_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Turn an AI agent into a production HTTP API with live streaming, from one YAML file."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
