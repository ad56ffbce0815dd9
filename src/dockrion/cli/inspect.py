"""`dockrion inspect`: one run of the agent, for whoever writes its `io_schema`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.once import run_agent
from dockrion.cli.payload import (
    as_json,
    check_place,
    output_option,
    parse_payload,
    payload_options,
    payload_text,
    show_output,
)
from dockrion.errors import InvalidOutputError


@click.command()
@dockfile_argument
@payload_options
@click.option(
    "-g",
    "--generate-schema",
    is_flag=True,
    help="Print an io_schema made of payload and output, as YAML to paste into the Dockfile.",
)
@click.option(
    "-r", "--raw", is_flag=True, help="Print what the agent returned, as Python shows it."
)
@output_option
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Show the run's metadata, and the type of what the agent returned, on standard error.",
)
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    payload: str | None,
    payload_file: Path | None,
    generate_schema: bool,
    raw: bool,
    output: Path | None,
    verbose: bool,
) -> None:
    """Run the agent once and look at its output: as JSON, as a schema, or as it was returned.

    A schema and a raw value are shown even where the output breaks the rules of the Dockfile.
    """
    if generate_schema and raw:
        raise click.UsageError("Give -g/--generate-schema or -r/--raw, not both.")
    text = payload_text(payload, payload_file)
    dockfile = find_dockfile(path)
    value = parse_payload(text, of_file=payload_file is not None)
    if output is not None:
        check_place(output)
    returned: list[Any] = []
    try:
        result = run_agent(dockfile, value, settings, on_returned=returned.append)
    except InvalidOutputError as exc:
        if not returned or not (generate_schema or raw):
            raise
        click.echo(f"Warning: {exc.message}", err=True)
        result = {"output": returned[-1], "metadata": {"output_valid": False}}
    # A generator gives nothing back: then its tokens are what there is.
    given = result["output"] if not returned or returned[-1] is None else returned[-1]
    if verbose:
        click.echo(f"metadata {as_json(result['metadata'])}", err=True)
        click.echo(f"returned {type(given).__module__}.{type(given).__qualname__}", err=True)
    if raw:
        show_output(repr(given), output)
    elif generate_schema:
        show_output(_io_schema(value, result["output"]), output)
    else:
        show_output(as_json(result["output"], indent=2), output)


def _io_schema(payload: Any, output: Any) -> str:
    from dockrion.events.jsonable import plain
    from dockrion.spec.inferring import io_schema_of

    return io_schema_of(payload, plain(output)).rstrip("\n")
