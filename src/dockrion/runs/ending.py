"""How a run ends: what is known of it, before it becomes the one terminal event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec

from dockrion.errors import InvalidOutputError
from dockrion.events.model import (
    Cancelled,
    Complete,
    Failed,
    Interrupt,
    Interrupted,
    Outcome,
    RunStatus,
)


class Returned(msgspec.Struct, frozen=True):
    """The agent ended by itself."""

    value: Any


class Finished(msgspec.Struct, frozen=True):
    """The agent ended by itself, and its output has been made already; or this is what is wrong with it."""

    output: Any
    notes: dict[str, Any]
    wrong: InvalidOutputError | None = None


class Raised(msgspec.Struct, frozen=True):
    """The agent ended with an exception, whatever it is."""

    exception: BaseException


class Stopped(msgspec.Struct, frozen=True):
    """Somebody else ended it: a deadline, a cancel, a caller who left, a shutdown."""

    terminal: Failed | Cancelled


Ending: TypeAlias = Returned | Finished | Raised | Stopped


def questions(ending: Ending) -> list[Interrupt] | None:
    if isinstance(ending, Returned) and isinstance(ending.value, Interrupted):
        return ending.value.interrupts
    return None


# What a run is once it has come to that.
STATUS_OF: Final[Mapping[type[Outcome], RunStatus]] = {
    Interrupted: RunStatus.INTERRUPTED,
    Complete: RunStatus.COMPLETED,
    Failed: RunStatus.FAILED,
    Cancelled: RunStatus.CANCELLED,
}
# Instead of what an agent raised, once that has been told.
OVER = Returned(None)
CALLER_LEFT = Cancelled("The caller went away.")
INTERNAL = Failed("Internal error.", "INTERNAL_ERROR")
# Of a run that goes on elsewhere: it ends here alone.
LOST = Failed("The run was taken over by another worker.", "WORKER_LOST")
# Of one that has waited for `MAX_WAIT_SECONDS`.
UNANSWERED = Failed("The run has waited for an answer for seven days.", "TIMEOUT")
