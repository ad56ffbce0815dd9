"""`dockrion add`: sections for a Dockfile that is there; what else it holds stays as it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dockrion.cli.dockfile import DEFAULT_NAME, dockfile_argument, find_dockfile, reading_only
from dockrion.cli.failures import debug_option
from dockrion.cli.init import AUTH_MODES, BACKENDS, PRESETS
from dockrion.cli.showing import done
from dockrion.cli.values import FieldValue, as_events, as_number, secret_names
from dockrion.errors import DockrionError, ValidationError

if TYPE_CHECKING:
    from dockrion.spec.editing import DockfileText

F = TypeVar("F", bound=Callable[..., Any])

force_option = click.option(
    "-f", "--force", is_flag=True, help="Replace the section that is there."
)


@click.group(no_args_is_help=True)
@debug_option
def command() -> None:
    """Add a section to a Dockfile; the rest stays as it is, comments included.

    Nothing is written unless the Dockfile is valid with the new section.
    """


@command.command()
@dockfile_argument
@click.option(
    "-E",
    "--events",
    type=FieldValue(
        "streaming", "events", "allowed", name="events", read=as_events, offers=PRESETS
    ),
    help="Which events are sent: minimal, chat, debug, all, or types such as token,step.",
)
@click.option("-A", "--async-runs", is_flag=True, help="Write that runs may be started at /runs.")
@click.option(
    "-b", "--backend", type=click.Choice(BACKENDS), help="Where runs and their events live."
)
@click.option(
    "--heartbeat",
    type=FieldValue("streaming", "events", "heartbeat_interval", name="seconds", read=as_number),
    help="Seconds of silence after which a heartbeat is sent, 1 to 300.",
)
@click.option(
    "--max-duration",
    type=FieldValue("streaming", "events", "max_run_duration", name="seconds", read=as_number),
    help="Seconds that a run may take, 1 to 86400.",
)
@force_option
@debug_option
def streaming(path: Path, force: bool, **options: Any) -> None:
    """Say which events are sent, and where runs live."""
    from dockrion.scaffold.sections import streaming_section

    block = streaming_section(**options)
    _change(path, lambda text: _put(text, "streaming", block, force=force))
    done(f"streaming is in {path}")


@command.command()
@dockfile_argument
@click.option(
    "-m",
    "--mode",
    type=click.Choice(AUTH_MODES),
    default="api_key",
    show_default=True,
    help="How callers prove who they are; none takes the section out.",
)
@click.option(
    "--env-var",
    type=FieldValue("auth", "api_keys", "env_var", name="name"),
    help="Variable that holds the key.  [default: DOCKRION_API_KEY]",
)
@click.option(
    "--header",
    type=FieldValue("auth", "api_keys", "header", name="name"),
    help="Header that carries the key.  [default: X-API-Key]",
)
@force_option
@debug_option
def auth(path: Path, mode: str, env_var: str | None, header: str | None, force: bool) -> None:
    """Say who may call."""
    for option, value in (("--env-var", env_var), ("--header", header)):
        if value is not None and mode != "api_key":
            raise click.UsageError(f"{option} goes with --mode api_key, not with --mode {mode}.")
    if mode == "none":
        changed = _change(path, lambda text: _remove_auth(text, force=force))
        done(f"auth is out of {path}" if changed else f"{path} has no auth: everybody may call")
        return
    from dockrion.scaffold.sections import auth_section

    block = auth_section(mode, env_var=env_var or "DOCKRION_API_KEY", header=header or "X-API-Key")
    _change(path, lambda text: _put(text, "auth", block, force=force))
    done(f"auth is in {path}")
    if mode == "api_key":
        variable = env_var or "DOCKRION_API_KEY"
        click.echo(
            f"Set {variable}, in the shell or in .env: without a key nothing starts.", err=True
        )
    else:
        click.echo(f"Put your identity provider's values into auth.{mode}.", err=True)


@command.command()
@click.argument("arguments", nargs=-1, required=True, metavar="[PATH] NAMES")
@click.option("--optional", is_flag=True, help="Good to have, instead of required.")
@force_option
@debug_option
@click.pass_context
def secrets(ctx: click.Context, arguments: tuple[str, ...], optional: bool, force: bool) -> None:
    """Add secrets, with commas between their names; names that are known already are skipped."""
    *paths, listed = arguments
    if len(paths) > 1:
        raise click.UsageError("Give the names as one argument, with commas between them: A,B.")
    path = Path(paths[0] if paths else DEFAULT_NAME)
    try:
        names = secret_names().convert(listed, None, ctx)
    except click.BadParameter as exc:
        exc.param_hint = "NAMES"
        raise
    key = "optional" if optional else "required"
    added: list[str] = []

    def add(text: DockfileText) -> None:
        from dockrion.scaffold.sections import secrets_section

        known = () if force else text.secret_names()
        added.extend(name for name in names if name not in known)
        if force or not text.has("secrets"):
            text.put("secrets", secrets_section(names, key=key))
        elif added:
            text.add_secrets(key, added)

    _change(path, add)
    for name in names:
        done(f"{name} is in {path}" if name in added else f"{name} was in {path} already")


def _change(path: Path, change: Callable[[DockfileText], None]) -> bool:
    """Change the Dockfile, in one step; return whether anything is new, raise and leave it alone otherwise."""
    dockfile = find_dockfile(path)
    with reading_only():
        from dockrion._files import write_whole
        from dockrion.spec.editing import DockfileText, problems_of

        text = DockfileText.read(dockfile)
        before = str(text)
        change(text)
        after = str(text)
        if after == before:
            return False
        known = problems_of(dockfile, before)
        problems = [problem for problem in problems_of(dockfile, after) if problem not in known]
    if problems:
        error = ValidationError("\n".join(problems))
        error.add_note(f"{dockfile} would not be valid, so nothing was changed")
        raise error
    try:
        write_whole(dockfile, after)
    except OSError as exc:
        error = DockrionError(f"{dockfile} cannot be written: {exc.strerror}")
        error.add_note("the file, and the folder that it is in, must be yours to write")
        raise error from exc
    return True


def _put(text: DockfileText, section: str, block: str, *, force: bool) -> None:
    if text.has(section) and not force:
        raise _is_there(section)
    text.put(section, block)


def _remove_auth(text: DockfileText, *, force: bool) -> None:
    if text.has("auth") and not force:
        raise _is_there("auth")
    text.remove("auth")


def _is_there(section: str) -> DockrionError:
    error = DockrionError(f"the Dockfile has a section `{section}` already")
    error.add_note("--force replaces it; nothing was changed")
    return error
