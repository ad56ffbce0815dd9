"""Things that come due a fixed time after they were added: one timer for all of them, not one each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """Calls `due` with each item `seconds` after `add`, unless `discard` comes first.

    All have the same span, so they come due in the order of their adding, which a `dict` keeps. On the event
    loop's thread only.
    """

    def __init__(self, seconds: float, due: Callable[[K], None]) -> None:
        self._seconds = seconds
        self._call = due
        self._due: dict[K, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        # An app without a lifespan may be called on one loop after another.
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, item: K) -> None:
        loop = asyncio.get_running_loop()
        self._due[item] = loop.time() + self._seconds
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._seconds, self._expire, loop)

    def discard(self, item: K) -> None:
        self._due.pop(item, None)

    def take(self, item: K) -> float | None:
        """`discard`, and return when it would have come due, by the loop's clock."""
        return self._due.pop(item, None)

    def clear(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        late: list[K] = []
        for item, due in self._due.items():
            if due > now:
                # What is discarded leaves the timer as it is: it may find nothing due yet.
                self._timer = loop.call_at(due, self._expire, loop)
                break
            late.append(item)
        for item in late:
            del self._due[item]
            self._call(item)


class PausableDeadlines(Generic[K]):
    """`Deadlines` for items of which a few stand still for a while: those have timers of their own from then on."""

    def __init__(self, seconds: float, due: Callable[[K], None]) -> None:
        self._call = due
        self._deadlines: Deadlines[K] = Deadlines(seconds, due)
        self._seconds_left: dict[K, float] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def add(self, item: K) -> None:
        self._deadlines.add(item)

    def pause(self, item: K) -> None:
        """Let its time stand still, if it counts."""
        due = self._deadlines.take(item)
        if due is None:
            timer = self._timers.pop(item, None)
            if timer is None:
                return
            timer.cancel()
            due = timer.when()
        self._seconds_left[item] = due - asyncio.get_running_loop().time()

    def go_on(self, item: K) -> None:
        """Let what is left of its time count again, if it was paused."""
        seconds = self._seconds_left.pop(item, None)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timers[item] = loop.call_later(seconds, self._expire, item)

    def discard(self, item: K) -> None:
        self._deadlines.discard(item)
        if self._seconds_left:
            self._seconds_left.pop(item, None)
        if self._timers and (timer := self._timers.pop(item, None)) is not None:
            timer.cancel()

    def _expire(self, item: K) -> None:
        del self._timers[item]
        self._call(item)
