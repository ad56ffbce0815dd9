"""The deadline of all runs of one runner: one timer for all, not one each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dockrion.events.model import Failed

if TYPE_CHECKING:
    from dockrion.runs.run import Run


class Deadlines:
    """Stops each run `seconds` after `add` with `TIMEOUT`, unless `discard` comes first.

    All have the same span, so they come due in the order of their adding, which a `dict` keeps.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[Run, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        # An app without a lifespan may be called on one loop after another.
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, run: Run) -> None:
        """Start the clock of `run`; on the event loop's thread."""
        if run.ended:
            return
        loop = run.outbox.loop
        self._due[run] = loop.time() + self._seconds
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._seconds, self._expire, loop)

    def discard(self, run: Run) -> None:
        self._due.pop(run, None)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late: list[Run] = []
        for run, due in self._due.items():
            if due > now:
                # A run that ends leaves the timer as it is: it may find nothing due yet.
                self._timer = loop.call_at(due, self._expire, loop)
                break
            late.append(run)
        for run in late:
            del self._due[run]
            run.stop(Failed(f"The run took longer than {self._seconds:g} s.", "TIMEOUT"))
