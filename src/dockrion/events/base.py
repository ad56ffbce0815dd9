"""The seam between events and what transforms them."""

from __future__ import annotations

from typing import Protocol

from dockrion.errors import PolicyViolationError
from dockrion.events.model import Event


class Stage(Protocol):
    """Transforms the events of one run, a batch at a time; does no I/O and keeps no reference to a batch.

    `feed` may hold events back and give them out later; `flush` gives out all that is held, once, before the
    run ends. The terminal event comes last, alone, after `flush`, and comes back alone. An exception ends the
    run with `INTERNAL_ERROR`: nothing of the batch is sent. `HaltedError` ends it with its violation; from then on
    the stage lets only terminal events through.
    """

    def feed(self, batch: list[Event]) -> list[Event]: ...

    def flush(self) -> list[Event]: ...


class HaltedError(Exception):
    """A policy ends the run; `passed` is what came before, and is sent."""

    def __init__(self, violation: PolicyViolationError, passed: list[Event]) -> None:
        super().__init__(violation.message)
        self.violation = violation
        self.passed = passed
