"""`dockrion schema`: the Dockfile's JSON Schema, for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dockrion.cli.failures import debug_option
from dockrion.errors import DockrionError


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="File to write the schema to, instead of standard output.",
)
@debug_option
def command(output: Path | None) -> None:
    """Print the Dockfile's JSON Schema, with which editors complete and check."""
    from dockrion.spec import generate_json_schema, write_json_schema

    if output is None:
        click.echo(json.dumps(generate_json_schema(), indent=2, ensure_ascii=False))
        return
    try:
        write_json_schema(output)
    except OSError as exc:
        error = DockrionError(f"{output} cannot be written: {exc.strerror}")
        error.add_note(
            "-o names a file in a folder that is there; without it the schema is printed"
        )
        raise error from exc
