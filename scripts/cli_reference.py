"""Write docs/cli.md from the commands themselves: `python scripts/cli_reference.py [--check]`."""
# ruff: noqa: T201

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from dockrion.cli.commands import COMMANDS, cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

_HEAD = """\
# The command line

`dockrion` alone shows the commands, `dockrion COMMAND --help` what one of them takes. PATH is the Dockfile or the folder that it
is in: `Dockfile.yaml` in the current folder when it is left out.

**Exit codes.** 0 is good. 1 is an error: a message and a hint on standard error, never a traceback, which `--debug` shows. 2 is
wrong usage, the value of an option included. 130 is a command that Ctrl-C interrupted; `run`, `worker` and `logs --follow` have
no other end, so they end with 0. `doctor` ends with 0 whatever it finds.

**Standard output** holds the result alone, as data: what an agent printed, warnings, progress and next steps go to standard
error. With `--json` the result is one JSON document. Colours, and the line that says what a command is about once that takes
longer than a second, are for terminals; `NO_COLOR` and `TERM=dumb` switch colours off.

**Completion** of commands, options, their values and files: `dockrion completion bash`, `zsh` or `fish` prints the script, and
its `--help` says where that goes.

This page is made of the commands: `python scripts/cli_reference.py`.
"""


def page() -> str:
    parts = [_HEAD, "\n| command | |\n|---|---|\n"]
    parts += [
        f"| [`{name}`](#{_anchor(name)}) | {what} |\n" for name, what in sorted(COMMANDS.items())
    ]
    for name in sorted(COMMANDS):
        command: click.Command = import_module(f"dockrion.cli.{name}").command
        parts += _section(f"dockrion {name}", command)
    return "".join(parts)


def _section(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=None)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"\n## {name}\n\n    {usage}\n\n{_prose(command.help or '')}\n"
    options = [one for one in command.params if isinstance(one, click.Option)]
    rows = [_row(one, context) for one in options]
    if rows:
        yield "\n| option | |\n|---|---|\n"
        yield from rows
    if isinstance(command, click.Group):
        for below, one in sorted(command.commands.items()):
            yield from _section(f"{name} {below}", one)


def _anchor(name: str) -> str:
    return f"dockrion-{name}"


def _prose(text: str) -> str:
    """Return the help as Markdown: what click leaves as it stands is a block of code."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        "\n".join(f"    {line}" for line in block.split("\n")[1:])
        if block.startswith("\b")
        else _escaped(block)
        for block in blocks
    )


def _row(option: click.Option, context: click.Context) -> str:
    names, what = option.get_help_record(context) or ("", "")
    return f"| `{_cell(names)}` | {_cell(_escaped(what))} |\n"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when it is stale")
    check = parser.parse_args().check
    assert sorted(COMMANDS) == cli.list_commands(click.Context(cli))
    made = page()
    if check:
        if PAGE.read_text() == made:
            return 0
        print("docs/cli.md is stale: python scripts/cli_reference.py", file=sys.stderr)
        return 1
    PAGE.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
