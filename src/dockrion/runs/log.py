"""The run log: numbers the events of one run, and keeps them as its retention says."""

from __future__ import annotations

import time
from typing import Protocol

from dockrion.events.model import Batch, Event


class RunLog(Protocol):
    """Numbers of one run are 0, 1, 2 ... without a gap, in the order of the calls; of one that goes on, those after
    the last that it had.

    `append` returns when the events are as safe as this log makes them; only what it returned may be shown to
    anybody. Where `immediate`, that takes no waiting, and `append_now` does the same as a plain call; it is not
    called elsewhere. A terminal event is the last one of the last batch. One caller at a time.
    """

    @property
    def immediate(self) -> bool: ...

    @property
    def position(self) -> int:
        """The number of the next event."""
        ...

    async def append(self, events: list[Event]) -> Batch: ...

    def append_now(self, events: list[Event]) -> Batch: ...


class UnkeptLog:
    """Numbers only: the direct stream of a caller who, once gone, does not come back."""

    __slots__ = ("_clock", "_next")

    immediate: bool = True

    def __init__(self, clock: Clock, first: int = 0) -> None:
        self._clock = clock
        self._next = first

    @property
    def position(self) -> int:
        return self._next

    async def append(self, events: list[Event]) -> Batch:
        return self.append_now(events)

    def append_now(self, events: list[Event]) -> Batch:
        first = self._next
        self._next += len(events)
        return Batch(events, first, self._clock.now())


class Clock:
    """Wall-clock time as ISO 8601 text in UTC with milliseconds; formats date and seconds once a second."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        return self.text_of(time.time())

    def text_of(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._text}.{int((now - second) * 1000):03d}Z"
