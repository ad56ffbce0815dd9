"""`dockrion deploy`: the agent with Docker Compose or on Kubernetes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dockrion.cli.build import a_tag
from dockrion.cli.dockfile import dockfile_argument, env_file_option, find_dockfile
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.showing import json_option

if TYPE_CHECKING:
    from dockrion.build.manifests.plan import Plan, Target

# Of the process, not of Python: the tools write to it by themselves.
_STANDARD_ERROR: Final = 2
_IMAGE: Final = r"[a-z0-9][A-Za-z0-9_.:/@-]{0,511}"
_HOST: Final = (
    r"(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*"
)


def _matching(pattern: str, says: str) -> Any:
    def check(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(pattern, value):
            raise click.BadParameter(f"{value!r} is no {says}.")
        return value

    return check


@click.command()
@dockfile_argument
@click.option(
    "--target",
    type=click.Choice(["compose", "kubernetes"]),
    required=True,
    help="What runs it: Docker Compose on one machine, or a Kubernetes cluster.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 1000),
    help="Servers, at least; 2 on Kubernetes with Redis, else 1.",
)
@click.option(
    "--tag",
    callback=a_tag,
    help="Tag of the image dockrion/<agent>.  [default: dev]",
)
@click.option(
    "--image",
    callback=_matching(_IMAGE, "name of an image"),
    help="Image to run instead, as your registry has it.",
)
@click.option(
    "--host",
    callback=_matching(_HOST, "host name in lower case"),
    help="Name that callers use, for the Ingress; every name when not given.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="Folder to write to.  [default: .dockrion_runtime/deploy/<target>]",
)
@click.option("--dry-run", is_flag=True, help="Print the manifests, write and start nothing.")
@env_file_option
@json_option
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    target: Target,
    replicas: int | None,
    tag: str | None,
    image: str | None,
    host: str | None,
    output: Path | None,
    dry_run: bool,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Run the agent with Docker Compose or on Kubernetes: write what that needs, and have docker or kubectl apply it.

    The image is there already: `dockrion build` makes it. No value of a secret is written: Compose reads .env,
    Kubernetes a Secret named after the agent.
    """
    if tag is not None and image is not None:
        raise click.UsageError("--tag is for the image dockrion/<agent>: give it, or --image.")
    if host is not None and target == "compose":
        raise click.UsageError("--host is for the Ingress of --target kubernetes.")
    dockfile = find_dockfile(path)
    from dockrion.build.manifests.compose import compose_of
    from dockrion.build.manifests.kubernetes import objects_of
    from dockrion.build.manifests.plan import plan_of
    from dockrion.build.manifests.text import as_yaml
    from dockrion.spec import read_dockfile

    read = read_dockfile(dockfile, env_file=env_file, tolerated=["REDIS_URL"])
    settings.secrets = read.spec.secret_values
    plan = plan_of(
        dockfile,
        read,
        target,
        replicas=replicas,
        tag=tag or "dev",
        image=image,
        env_file=env_file,
    )
    folder = output or dockfile.parent / ".dockrion_runtime" / "deploy" / target
    documents = (
        [compose_of(plan, folder=folder)] if target == "compose" else objects_of(plan, host=host)
    )
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    _say_what_it_needs(plan, target)
    if dry_run:
        text = as_yaml(documents)
        click.echo(_as_json(plan, documents=documents) if as_json else text, nl=as_json)
        return
    _deploy(plan, as_yaml(documents), folder, target, as_json=as_json)


def _deploy(plan: Plan, text: str, folder: Path, target: Target, *, as_json: bool) -> None:
    from dockrion.build.manifests.applying import (
        command_for,
        is_there,
        run,
        values_to_fill_in,
        write_manifest,
    )

    file = write_manifest(text, folder, target)
    line = command_for(target, file)
    applied = is_there(line)
    if applied:
        values = values_to_fill_in(plan) if target == "compose" else {}
        run(line, values=values, output=_STANDARD_ERROR)
    else:
        click.echo(f"{line[0]} is not here; where it is, run: {shlex.join(line)}", err=True)
    if as_json:
        click.echo(_as_json(plan, file=str(file), command=line, applied=applied))
    else:
        click.echo(str(file))


def _say_what_it_needs(plan: Plan, target: Target) -> None:
    names = plan.variables.needed
    if target == "kubernetes" and names:
        click.echo(f"the Secret {plan.name} has to hold {', '.join(names)}", err=True)


def _as_json(plan: Plan, **more: Any) -> str:
    told: dict[str, Any] = {
        "agent": plan.spec.agent.name,
        "name": plan.name,
        "image": plan.image,
        "replicas": plan.replicas,
        **more,
        "warnings": list(plan.warnings),
    }
    return json.dumps(told, ensure_ascii=False, indent=2)
