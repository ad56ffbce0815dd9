"""The runs that are told on one connection, also while they wait for answers."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from dockrion.runs.reader import Reader
from dockrion.runs.run import Run


class OpenRun:
    """One of them, with what its events are read from just now."""

    __slots__ = ("is_left", "is_over", "run_id", "source")

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.source: Run | Reader | None = None
        # Whether its caller is there for it no more, and whether nothing of it is sent any more.
        self.is_left = False
        self.is_over = asyncio.Event()

    def read_from(self, source: Run | Reader) -> None:
        self.source = source
        if self.is_left:
            source.caller_left()

    def leave(self) -> None:
        self.is_left = True
        if self.source is not None:
            self.source.caller_left()


class OpenRuns:
    def __init__(self) -> None:
        self._runs: set[OpenRun] = set()
        self._are_left = False

    def named(self, run_id: str) -> list[OpenRun]:
        """Return those with the id: one, or another that is about to be refused, too."""
        return [one for one in self._runs if one.run_id == run_id]

    @contextmanager
    def open(self, run_id: str) -> Generator[OpenRun]:
        one = OpenRun(run_id)
        one.is_left = self._are_left
        self._runs.add(one)
        try:
            yield one
        finally:
            self._runs.discard(one)
            one.is_over.set()

    def leave(self) -> None:
        """Leave all, and those that are opened from here on."""
        self._are_left = True
        for one in tuple(self._runs):
            one.leave()
