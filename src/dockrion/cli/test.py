"""`dockrion test`: one run of the agent, without a server."""

from __future__ import annotations

from pathlib import Path

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


@click.command()
@dockfile_argument
@payload_options
@output_option
@click.option("-v", "--verbose", is_flag=True, help="Show the run's metadata on standard error.")
@click.option("--stream", is_flag=True, help="Show the events, as they come, on standard error.")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    payload: str | None,
    payload_file: Path | None,
    output: Path | None,
    verbose: bool,
    stream: bool,
) -> None:
    """Run the agent once and print its output, alone, as JSON."""
    text = payload_text(payload, payload_file)
    dockfile = find_dockfile(path)
    value = parse_payload(text, of_file=payload_file is not None)
    if output is not None:
        check_place(output)
    result = run_agent(dockfile, value, settings, stream=stream)
    if verbose:
        click.echo(f"metadata {as_json(result['metadata'])}", err=True)
    show_output(as_json(result["output"], indent=2), output)
