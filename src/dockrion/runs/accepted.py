"""A run that comes from the store, and not from a caller who waits for it."""

from __future__ import annotations

from typing import Any

import msgspec


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What the store knows of a run that it gives to be executed.

    Its events have numbers from `first` on. `attempt` counts from 1. With `answers`, the ids of its questions with
    their answers, the run goes on where it was interrupted. One that is `direct` has a caller who waits for it after all.
    """

    first: int = 0
    attempt: int = 1
    answers: dict[str, Any] | None = None
    direct: bool = False

    @property
    def has_started(self) -> bool:
        """Whether its readers have been told already that it does, and nothing has gone wrong since."""
        return self.answers is not None and self.attempt == 1
