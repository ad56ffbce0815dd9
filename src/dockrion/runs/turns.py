"""Whose turn it is: at most so many runs at once, the others in the order of their coming."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dockrion.errors import OverloadedError

if TYPE_CHECKING:
    from dockrion.runs.run import Run


class Turns:
    """`limit` runs at once (0: no limit), at most `max_waiting` that wait."""

    def __init__(self, limit: int, max_waiting: int) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._running: set[Run] = set()
        self._waiting: dict[Run, Callable[[], None]] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def holds(self, run: Run) -> bool:
        """Whether it waits here."""
        return run in self._waiting

    @property
    def free(self) -> bool:
        return not self._limit or len(self._running) < self._limit

    def admit(self, waiting: int) -> None:
        """Raise `OverloadedError` when one more would wait behind `waiting` others."""
        if waiting >= self._max_waiting:
            raise OverloadedError(
                f"{waiting} runs wait for their turn already (expose.limits.max_queue); try again later."
            )

    def take(self, run: Run, launch: Callable[[], None]) -> bool:
        """Return whether it is the run's turn; if not, `launch`, which must not raise, is called when it is."""
        if not self.free:
            self._waiting[run] = launch
            return False
        if self._limit:
            self._running.add(run)
        return True

    def give_back(self, run: Run) -> None:
        """The run is over, or left the queue, or waits for answers: it goes on without a turn then."""
        if not self._limit:
            return
        self._waiting.pop(run, None)
        self._running.discard(run)
        while self._waiting and self.free:
            following = next(iter(self._waiting))
            launch = self._waiting.pop(following)
            # One that was stopped while it waited has an ending, and a reader who takes it.
            if not following.ended:
                self._running.add(following)
                launch()
