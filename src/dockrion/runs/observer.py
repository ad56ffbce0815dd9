"""The seam between runs and whoever counts them."""

from __future__ import annotations

from typing import Protocol

from dockrion.events.model import Event, Outcome
from dockrion.telemetry.base import Usage


class RunObserver(Protocol):
    """Told what the runs of a runner do, once for a batch or a run, never for each event.

    Called on the event loop's thread, in the way of the events: it must return at once, must not raise, and
    keeps no reference to a batch.
    """

    def batch(self, events: list[Event], *, tokens: int, sent: int) -> None:
        """The run log is about to number `events`; of the `tokens` that the agent emitted, `sent` are in there."""
        ...

    def first_token(self, seconds: float) -> None:
        """A run whose tokens are sent has its first one, so long after it was asked for."""
        ...

    def violated(self, rule: str) -> None:
        """A policy said no, outside of a `policy` event."""
        ...

    def heartbeat(self) -> None:
        """A heartbeat event went to a run's reader."""
        ...

    def used(self, usage: Usage) -> None:
        """A model that a run has called tells what it used."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """A run is over, or waits for answers, be its last batch read or not."""
        ...

    def at_work(self, runs: int) -> None:
        """So many runs that are kept are executed now, whether or not anybody calls."""
        ...


class Unobserved:
    """Counts nothing."""

    def batch(self, events: list[Event], *, tokens: int, sent: int) -> None:
        pass

    def first_token(self, seconds: float) -> None:
        pass

    def violated(self, rule: str) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def used(self, usage: Usage) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass

    def at_work(self, runs: int) -> None:
        pass
