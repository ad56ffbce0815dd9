"""`dockrion validate`: a Dockfile, checked without its agent, a connection or a key."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockrion.cli.dockfile import dockfile_argument, find_dockfile, reading_only
from dockrion.cli.failures import EXIT_ERROR, debug_option

if TYPE_CHECKING:
    from dockrion.spec import DockSpec

_PLACE = re.compile(r".+?:\d+:\d+: ")


@click.command()
@dockfile_argument
@click.option("-v", "--verbose", is_flag=True, help="Show the whole Dockfile with its defaults.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
@debug_option
@click.pass_context
def command(ctx: click.Context, path: Path, verbose: bool, quiet: bool, as_json: bool) -> None:
    """Check a Dockfile without loading the agent; every problem comes at once, with its line."""
    dockfile = find_dockfile(path)
    with reading_only():
        from dockrion.spec import dump, validate_dockspec

        report = validate_dockspec(dockfile)
    spec: DockSpec | None = report["spec"]
    if as_json:
        plain = {**report, "spec": None if spec is None else dump(spec)}
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
    elif spec is None:
        _show_problems(report["message"], report["errors"], [] if quiet else report["warnings"])
    elif not quiet:
        _show_spec(spec, report["warnings"], whole=verbose)
    if spec is None:
        ctx.exit(EXIT_ERROR)


def _show_problems(message: str, errors: list[str], warnings: list[str]) -> None:
    click.echo(f"✗ {message}", err=True)
    for error in errors:
        click.echo(f"  {error}", err=True)
    _show_warnings(warnings)
    if any(map(_PLACE.match, errors)):
        click.echo("Hint: each line starts with where it is: file, line, column", err=True)
    else:
        click.echo("Hint: a Dockfile is a text file that you may read, in UTF-8", err=True)


def _show_spec(spec: DockSpec, warnings: list[str], *, whole: bool) -> None:
    from dockrion.runtime.front_ends import front_ends

    agent = spec.agent
    served = f"handler ({agent.handler})" if agent.handler else f"entrypoint ({agent.entrypoint})"
    click.echo("✓ Dockfile is valid")
    click.echo(f"Agent: {agent.name}")
    click.echo(f"Mode: {served}")
    click.echo(f"Framework: {agent.framework}")
    if others := front_ends(spec):
        click.echo(f"Also at: {', '.join(f'{path} ({title})' for title, path in others)}")
    if whole:
        _show_whole(spec)
    _show_warnings(warnings)


def _show_whole(spec: DockSpec) -> None:
    from ruamel.yaml import YAML

    from dockrion.spec import dump

    click.echo()
    yaml = YAML()
    yaml.width = 1 << 16  # a long value stays on its line
    yaml.dump(dump(spec), sys.stdout)  # pyright: ignore[reportUnknownMemberType]
    if spec.policies.safety:
        _show_hold_back(spec.policies.safety.redact_patterns)


def _show_hold_back(rules: tuple[str, ...]) -> None:
    from dockrion.patterns.prefix import hold_back
    from dockrion.patterns.tree import Tree
    from dockrion.policy.redaction import MAX_HELD, REDACTED

    if rules:
        click.echo("\nText that each redaction rule can hold back:")
    for rule in rules:
        longest = hold_back(Tree(rule))
        bound = f"at most {longest} characters" if longest is not None else "unbounded"
        if longest is None or longest > MAX_HELD:
            bound += f": held up to {MAX_HELD}, then {REDACTED}"
        click.echo(f"  {rule}  {bound}")


def _show_warnings(warnings: list[str]) -> None:
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)
