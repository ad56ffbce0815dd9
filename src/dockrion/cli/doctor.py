"""`dockrion doctor`: what is wrong with an agent's surroundings, or with the way to one that is deployed."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from dockrion.cli.dockfile import DEFAULT_NAME, dockfile_argument, env_file_option
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.payload import parse_payload, payload_options, payload_text
from dockrion.cli.showing import is_terminal, json_option, progress, styled
from dockrion.errors import ValidationError

if TYPE_CHECKING:
    from dockrion.doctor.base import Result

_AGENT_SECONDS: Final = 30.0
_STREAM_SECONDS: Final = 60.0

_MARKS: Final = {
    "ok": ("✓", "green"),
    "info": ("i", "blue"),
    "warning": ("!", "yellow"),
    "error": ("✗", "red"),
    "skipped": ("-", None),
}
_NARROWEST: Final = 60
_MOST_SHOWN: Final = 200


def _for_header(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (value and value.isascii() and value.isprintable()):
        raise click.BadParameter("must be printable ASCII: it goes into a header.")
    return value


@click.command()
@dockfile_argument
@env_file_option
@click.option(
    "--stream",
    "url",
    metavar="URL",
    help="Look at the way to a deployed agent instead; this runs it once.",
)
@click.option("--no-run", is_flag=True, help="With --stream: do not run the agent.")
@payload_options
@click.option(
    "--api-key",
    metavar="KEY",
    callback=_for_header,
    help="With --stream: a key or token of the agent.",
)
@click.option(
    "--origin",
    callback=_for_header,
    help="With --stream: the origin of the pages that are to call it.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help=f"Seconds that the agent may take: to load [{_AGENT_SECONDS:g}], or to answer [{_STREAM_SECONDS:g}].",
)
@json_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    path: Path,
    env_file: Path | None,
    url: str | None,
    no_run: bool,
    payload: str | None,
    payload_file: Path | None,
    api_key: str | None,
    origin: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Look for what is wrong: Python, packages, Docker, Dockfile, secrets, agent, port, backend, keys.

    Nothing is changed, and no model is called. With --stream it looks at a deployed agent, through whatever stands
    before it, and runs it once. The exit code is 0, whatever is found.
    """
    _check_options(ctx, url, payload, payload_file)
    _keep_logs_quiet(debug=ctx.ensure_object(Settings).debug)
    if url is None:
        results = _examine(path, env_file, timeout or _AGENT_SECONDS)
    else:
        given = None
        if payload is not None or payload_file is not None:
            given = payload_text(payload, payload_file)
            parse_payload(given, of_file=payload_file is not None)
        results = _probe(url, given, api_key, origin, timeout or _STREAM_SECONDS, runs=not no_run)
    if as_json:
        click.echo(_as_json(results))
    else:
        _show(results)


def _check_options(
    ctx: click.Context, url: str | None, payload: str | None, payload_file: Path | None
) -> None:
    given = {
        name
        for name in ("path", "env_file", "payload", "payload_file", "api_key", "origin", "no_run")
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    if url is None:
        useless = given - {"path", "env_file"}
        where = "needs --stream URL: without it no agent is called."
    else:
        useless = given & {"path", "env_file"}
        where = "is about an agent here, and --stream about one that is deployed: give one of them."
    if useless:
        name = min(useless)
        option = "PATH" if name == "path" else f"--{name.replace('_', '-')}"
        raise click.UsageError(f"{option} {where}")
    if payload is not None and payload_file is not None:
        raise click.UsageError("Give the payload with either -p/--payload or -f/--payload-file.")


def _examine(path: Path, env_file: Path | None, agent_seconds: float) -> list[Result]:
    from dockrion.doctor.base import open_case
    from dockrion.doctor.checks import examine
    from dockrion.runtime.dockfile import enter

    dockfile = path / DEFAULT_NAME if path.is_dir() else path
    with progress("looking at everything") as line:
        case = open_case(dockfile, env_file=env_file, agent_seconds=agent_seconds)
        if case.dockfile is not None:
            # As in a server: the variables of OpenTelemetry may be in an env file.
            enter(case.dockfile)

        def tell(pending: Sequence[str]) -> None:
            line.label = f"looking at {', '.join(pending)}"

        return asyncio.run(examine(case, on_pending=tell))


def _probe(
    url: str,
    payload: bytes | None,
    key: str | None,
    origin: str | None,
    seconds: float,
    *,
    runs: bool,
) -> list[Result]:
    from dockrion.doctor.stream.probe import Probe, probe

    with ExitStack() as shown:
        shown.enter_context(progress(f"asking {url}"))

        def announce(sent: bytes) -> None:
            text = sent.decode(errors="replace")
            cut = text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 3]}..."
            shown.close()  # else it would be written into the line
            click.echo(f"This runs the agent once, with {cut}; --no-run leaves that out.", err=True)
            shown.enter_context(
                progress(f"following a run of the agent, for {seconds:g} s at most")
            )

        asked = Probe(
            url=url,
            on_run=announce,
            payload=payload,
            key=key,
            origin=origin,
            seconds=seconds,
            runs_agent=runs,
        )
        try:
            return asyncio.run(probe(asked))
        except ValidationError as exc:
            raise click.BadParameter(exc.message, param_hint="--stream") from exc


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
    # Some of it was said by others: it moves no cursor and makes no lines of its own.
    text = "".join(char if char.isprintable() else " " for char in text)
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
