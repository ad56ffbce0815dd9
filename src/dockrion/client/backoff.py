"""How long a client waits before it tries again: longer each time, and each client for another while."""

from __future__ import annotations

import random
from typing import Final

FIRST_SECONDS: Final = 0.2
MAX_SECONDS: Final = 5.0


class Backoff:
    """`next` gives the seconds of one pause after the other, `reset` begins anew.

    Each is a random part of what it may be ("full jitter"), so that the callers of a server that restarts do not all come
    back at once.
    """

    def __init__(self, *, first: float = FIRST_SECONDS, longest: float = MAX_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._pauses = 0

    def reset(self) -> None:
        self._pauses = 0

    def next(self, *, at_least: float = 0.0) -> float:
        may_be = min(self._longest, self._first * 2.0 ** min(self._pauses, 30))
        self._pauses += 1
        # Nothing is guarded by it.
        return at_least + random.uniform(0.0, may_be)  # noqa: S311
