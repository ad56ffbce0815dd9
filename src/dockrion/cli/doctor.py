"""`dockrion doctor`: what is wrong with an agent's surroundings, or with the way to one that is deployed."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dockrion.cli.dockfile import DEFAULT_NAME, dockfile_argument, env_file_option
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.showing import is_terminal, json_option, progress, styled

if TYPE_CHECKING:
    from dockrion.doctor.checks import Result

AGENT_SECONDS: Final = 30.0

_MARKS: Final = {
    "ok": ("✓", "green"),
    "info": ("i", "blue"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
    "skipped": ("-", None),
}
_NARROWEST: Final = 60


@click.command()
@dockfile_argument
@env_file_option
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=AGENT_SECONDS,
    show_default=True,
    help="Seconds that the agent may take to load.",
)
@json_option
@debug_option
@click.pass_obj
def command(
    settings: Settings, path: Path, env_file: Path | None, timeout: float, as_json: bool
) -> None:
    """Look for what is wrong: Python, packages, Docker, Dockfile, secrets, agent, port, backend, keys.

    Nothing is changed, and no model is called. The exit code is 0, whatever is found.
    """
    results = _examine(path, env_file, timeout, debug=settings.debug)
    if as_json:
        click.echo(_as_json(results))
    else:
        _show(results)


def _examine(
    path: Path, env_file: Path | None, agent_seconds: float, *, debug: bool
) -> list[Result]:
    from dockrion.doctor.base import open_case
    from dockrion.doctor.checks import examine

    _keep_logs_quiet(debug=debug)
    dockfile = path / DEFAULT_NAME if path.is_dir() else path
    with progress("looking at everything") as line:
        case = open_case(dockfile, env_file=env_file, agent_seconds=agent_seconds)

        def tell(pending: Sequence[str]) -> None:
            line.label = f"looking at {', '.join(pending)}"

        return asyncio.run(examine(case, on_pending=tell))


def _keep_logs_quiet(*, debug: bool) -> None:
    """Say what was found, and once: what the parts that are tried out log about it is for `--debug`."""
    if debug:
        from dockrion.runtime.logs import configure_logging

        configure_logging(verbose=True, for_people=True)
    else:
        logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def _as_json(results: list[Result]) -> str:
    findings = [
        {
            "check": check,
            "status": finding.status,
            "message": finding.message,
            "hint": finding.hint,
        }
        for check, finding in results
    ]
    sound = not any(finding["status"] == "error" for finding in findings)
    return json.dumps({"sound": sound, "findings": findings}, ensure_ascii=False, indent=2)


def _show(results: list[Result]) -> None:
    width = max(len(check) for check, _ in results)
    looked_at = [result for result in results if result.finding.status != "skipped"]
    for check, group in groupby(looked_at, key=lambda result: result.check):
        name, told = check, None
        for _, finding in group:
            mark, colour = _MARKS[finding.status]
            hint = finding.hint if finding.hint != told else None
            told = finding.hint
            start = styled(mark, stream=sys.stdout, fg=colour)
            click.echo(f"{start} {name:{width}}  {_wrapped(finding.message, width + 4)}")
            if hint:
                arrow = styled("→", stream=sys.stdout, dim=True)
                click.echo(f"{'':{width + 4}}{arrow} {_wrapped(hint, width + 6)}")
            name = ""
    for message, group in groupby(
        (result for result in results if result.finding.status == "skipped"),
        key=lambda result: result.finding.message,
    ):
        names = ", ".join(result.check for result in group)
        click.echo(f"- {_wrapped(f'not looked at: {names} ({message})', 2)}")
    click.echo()
    click.echo(_sum(results))


def _wrapped(text: str, indent: int) -> str:
    """Return the text in lines that fit the terminal; elsewhere as it is."""
    columns = shutil.get_terminal_size().columns
    if not is_terminal(sys.stdout) or columns < _NARROWEST:
        return text
    lines = textwrap.wrap(text, columns - indent, break_long_words=False, break_on_hyphens=False)
    return f"\n{'':{indent}}".join(lines)


def _sum(results: list[Result]) -> str:
    counts = [
        (sum(finding.status == status for _, finding in results), word)
        for status, word in (("error", "problem"), ("warning", "warning"))
    ]
    said = [f"{count} {word}{'s' * (count != 1)}" for count, word in counts if count]
    return ", ".join(said) or "Nothing is wrong."
