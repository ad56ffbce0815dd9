"""The seam of checks: what one looks at, and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from dockrion.errors import ValidationError
from dockrion.spec import Dockfile, DockSpec, Hider, read_dockfile


class Status(StrEnum):
    OK = "ok"
    # Worth knowing, and nothing to be done.
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    # Not looked at; the message says why.
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say. A warning or an error has a hint: what to change, and where."""

    status: Status
    message: str
    hint: str | None = None


class Result(NamedTuple):
    """A finding, and the name of the check that it is from."""

    check: str
    finding: Finding

    def without(self, secrets: Hider) -> Result:
        message, hint = self.finding.message, self.finding.hint
        hidden = None if hint is None else secrets.hide(hint)
        return Result(self.check, Finding(self.finding.status, secrets.hide(message), hidden))


def ok(message: str) -> Finding:
    return Finding(Status.OK, message)


def info(message: str, hint: str | None = None) -> Finding:
    return Finding(Status.INFO, message, hint)


def warning(message: str, hint: str) -> Finding:
    return Finding(Status.WARNING, message, hint)


def error(message: str, hint: str) -> Finding:
    return Finding(Status.ERROR, message, hint)


def skipped(message: str) -> Finding:
    return Finding(Status.SKIPPED, message)


@dataclass(frozen=True)
class Case:
    """One Dockfile, as far as it can be read. `problem` is why it cannot, or else `dockfile` is there."""

    path: Path
    env_file: Path | None
    agent_seconds: float
    dockfile: Dockfile | None
    problem: ValidationError | None

    @property
    def spec(self) -> DockSpec:
        """For checks that need a Dockfile, which are not asked without one."""
        assert self.dockfile is not None
        return self.dockfile.spec

    @property
    def hider(self) -> Hider:
        return Hider([] if self.dockfile is None else self.dockfile.spec.secret_values)


def open_case(path: Path, *, env_file: Path | None = None, agent_seconds: float) -> Case:
    """Read the Dockfile; whatever is wrong with it is in the case."""
    try:
        dockfile = read_dockfile(path, env_file=env_file)
    except ValidationError as exc:
        return Case(path, env_file, agent_seconds, None, exc)
    return Case(path, env_file, agent_seconds, dockfile, None)


class Look(Protocol):
    """Looks at one thing, changes nothing, and says what it found: at least one thing.

    It may take its time, as long as it lets others work meanwhile: all look at once, and what takes longer than its
    check allows is cancelled. What can go wrong is a finding; what it raises is a bug.
    """

    async def __call__(self, case: Case, /) -> Sequence[Finding]: ...


@dataclass(frozen=True)
class Check:
    """`seconds` is how long it may take at most; one that needs no Dockfile is also made without."""

    name: str
    look: Look
    seconds: float = 10.0
    needs_dockfile: bool = True
