"""Questions to whoever sits at the terminal; they go to standard error, and end of input is no answer."""

from __future__ import annotations

import sys
from typing import Any

import click


class NoAnswerError(Exception):
    """Standard input ended before there was an answer."""


def can_ask() -> bool:
    """Whether somebody is there to answer."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Ask for yes or no, which is the default; an answer may come through a pipe, too."""
    try:
        return click.confirm(question, default=False, err=True)
    except click.Abort as abort:
        raise _no_answer(abort) from None


def ask(question: str, kind: click.ParamType[Any, Any], *, default: str) -> Any:
    """Ask until the answer is a valid one; an empty one is the default."""
    try:
        return click.prompt(question, default=default, type=kind, err=True)
    except click.Abort as abort:
        raise _no_answer(abort) from None


def _no_answer(abort: click.Abort) -> Exception:
    # click makes the same of Ctrl-C and of the end of the input, which are two things.
    if isinstance(abort.__context__, EOFError):
        click.echo(err=True)
        return NoAnswerError()
    return abort
