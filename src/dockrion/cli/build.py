"""`dockrion build`: the agent's image, or what Docker needs to make it elsewhere."""

from __future__ import annotations

import gc
import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from dockrion.cli.dockfile import (
    dockfile_argument,
    env_file_option,
    find_dockfile,
    show_secrets,
)
from dockrion.cli.failures import Settings, debug_option
from dockrion.cli.showing import json_option, progress

if TYPE_CHECKING:
    from dockrion.build.context import Written
    from dockrion.build.image import Plan
    from dockrion.spec import Dockfile

# Of the process, not of Python: docker writes to it by itself.
_STANDARD_ERROR: Final = 2


def a_tag(_ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """Refuse what is no tag of an image; none is given where the option has no default."""
    from dockrion.build.names import TAG_SAYS, is_tag

    if value is not None and not is_tag(value):
        raise click.BadParameter(f"{value!r} is none: {TAG_SAYS}.")
    return value


@click.command()
@dockfile_argument
@click.option(
    "--target",
    type=click.Choice(["local"]),
    default="local",
    show_default=True,
    help="Where the image is built: with the Docker of this machine.",
)
@click.option(
    "--tag",
    default="dev",
    show_default=True,
    callback=a_tag,
    help="Tag of the image dockrion/<agent>.",
)
@click.option("--no-cache", is_flag=True, help="Build every layer anew.")
@env_file_option
@click.option(
    "--allow-missing-secrets",
    is_flag=True,
    help="Build although required secrets are not set here.",
)
@click.option("--no-docker", is_flag=True, help="Write the build context only.")
@json_option
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="List what goes into the image, and where each secret comes from.",
)
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    path: Path,
    target: str,  # noqa: ARG001  (there is one)
    tag: str,
    no_cache: bool,
    env_file: Path | None,
    allow_missing_secrets: bool,
    no_docker: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Build the agent's image, or its build context.

    Prints the name of the image, dockrion/<agent>:<tag>, or the folder of the context. It holds the Dockfile, the
    agent's package or module, what build.include lists, and with build.auto_detect_imports what the agent imports;
    never .env files, keys, version control or caches.
    """
    dockfile = find_dockfile(path)
    with progress("finding what goes into the image"), _without_collector():
        from dockrion.build.context import alone
        from dockrion.build.image import (
            docker_build,
            find_docker,
            plan_image,
            read_for_image,
            write_image,
        )
        from dockrion.build.runtime_files import RUNTIME_FOLDER

        read = read_for_image(
            dockfile, env_file=env_file, allow_missing_secrets=allow_missing_secrets
        )
        settings.secrets = read.spec.secret_values
        plan = plan_image(dockfile, read, tag=tag, env_file=env_file)
    _show(plan, read, verbose=verbose)
    if not no_docker:
        find_docker()  # before anything is written
    runtime = dockfile.parent / RUNTIME_FOLDER
    with alone(runtime, _say_that_it_waits):
        with progress("writing the build context"):
            written = write_image(plan, runtime)
        click.echo(f"{written.files} files, {_size(written.bytes)}: {written.folder}", err=True)
        if not no_docker:
            docker_build(plan.image, written.folder, no_cache=no_cache, output=_STANDARD_ERROR)
    _print_result(plan, written, runtime, built=not no_docker, as_json=as_json)


@contextmanager
def _without_collector() -> Generator[None]:
    """Leave Python's garbage collector out: it takes a third of the time, and syntax trees have no cycles."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _show(plan: Plan, read: Dockfile, *, verbose: bool) -> None:
    for warning in plan.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if not verbose:
        return
    show_secrets(read)
    for place in plan.contents.files:
        click.echo(f"file    {place}", err=True)
    for place in plan.contents.detected:
        click.echo(f"import  {place}", err=True)
    for place in plan.requirement_files:
        click.echo(f"needed to install  {place}", err=True)


def _print_result(
    plan: Plan, written: Written, runtime: Path, *, built: bool, as_json: bool
) -> None:
    if not as_json:
        click.echo(plan.image if built else str(written.folder))
        return
    result = {
        "image": plan.image,
        "status": "built" if built else "written",
        "agent_name": plan.spec.agent.name,
        "runtime_dir": str(runtime.absolute()),
        "context": str(written.folder.absolute()),
        "files": written.files,
        "bytes": written.bytes,
        "warnings": plan.warnings,
    }
    click.echo(json.dumps(result, ensure_ascii=False, indent=2))


def _say_that_it_waits() -> None:
    click.echo("another build is at work in this folder; waiting for it", err=True)


def _size(count: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
