"""How a command says what went wrong: a message and a hint on standard error, a traceback when asked for."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import indent
from typing import Any, cast

import click

from dockrion.errors import (
    AdapterLoadError,
    AgentExecutionError,
    DockrionError,
    InvalidAgentError,
    InvalidOutputError,
    MissingExtraError,
    MissingSecretError,
    ModuleMissingError,
    ValidationError,
)

EXIT_ERROR = 1

# The first that fits; an error with a note of its own (`add_note`) knows better.
_HINTS: tuple[tuple[type[DockrionError], str], ...] = (
    (MissingSecretError, "set them in the shell, in .env beside the Dockfile, or with --env-file"),
    (MissingExtraError, "install the package and try again"),
    (ModuleMissingError, "modules are looked up from the Dockfile's folder"),
    (AdapterLoadError, "check agent.handler and agent.entrypoint; --debug shows the traceback"),
    (InvalidAgentError, "check agent.handler and agent.entrypoint in the Dockfile"),
    (AgentExecutionError, "the agent itself raised this; --debug shows the traceback"),
    (InvalidOutputError, "compare what the agent returns with io_schema.output"),
)
_DEFAULT_HINT = "--debug shows the traceback"


@dataclass
class Settings:
    """What holds for every command; click carries it as `obj`.

    `secrets` are the values that no error may show, known once a Dockfile has been read.
    """

    debug: bool = False
    secrets: list[str] = field(default_factory=list[str], repr=False)


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Settings).debug = True


debug_option = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_remember_debug,
    help="Show the traceback of an error.",
)


def report(error: Exception, settings: Settings) -> None:
    hide = _hiding(settings.secrets)
    if settings.debug:
        click.echo(hide("".join(traceback.format_exception(error))), err=True, nl=False)
    message = hide(_message(error))
    click.echo(
        f"Error:\n{indent(message, '  ')}" if "\n" in message else f"Error: {message}", err=True
    )
    click.echo(f"Hint: {hide(_hint(error))}", err=True)


def _hiding(secrets: list[str]) -> Callable[[str], str]:
    if not secrets:
        return str
    from dockrion.spec import Hider

    return Hider(secrets).hide


def _message(error: Exception) -> str:
    if isinstance(error, DockrionError):
        return error.message
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _hint(error: Exception) -> str:
    notes: list[str] = getattr(error, "__notes__", [])
    if notes:
        return notes[0]
    if type(error) is ValidationError:
        return _hint_of_invalid(error.details)
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), _DEFAULT_HINT)


def _hint_of_invalid(details: Any) -> str:
    """Return what to do about a `ValidationError`: its details tell what was checked."""
    found = cast("list[Any]", details) if isinstance(details, list) else []
    first: Any = found[0] if found else None
    if isinstance(first, dict) and "pointer" in first:
        return "io_schema.input in the Dockfile says what a payload must be"
    return "`dockrion validate` checks the Dockfile"
