"""The way of a run's events through its stages, and what is counted of them behind the last one."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import TypeVar, cast

from dockrion.errors import PolicyViolationError
from dockrion.events.base import HaltedError, Stage
from dockrion.events.model import Event, Interrupt, Terminal, Token
from dockrion.runs.observer import RunObserver
from dockrion.runs.output import JoinedTokens

Last = TypeVar("Last", Terminal, Interrupt)


class Passage:
    """Takes the events of one run through its stages, for its reader alone.

    `violation` is of a policy that a stage enforces, the first one: it is how the run is to end, whatever else is
    known. Of the batch in which it was found comes out what the stage let pass before it.
    """

    __slots__ = ("_made_at", "_observer", "_sends_tokens", "_stages", "tokens", "violation")

    def __init__(
        self,
        stages: Sequence[Stage],
        observer: RunObserver,
        *,
        sends_tokens: bool,
        max_token_bytes: int,
    ) -> None:
        self._stages = stages
        self._observer = observer
        self._sends_tokens = sends_tokens
        self._made_at = perf_counter()
        # Those that make the output.
        self.tokens = JoinedTokens(max_token_bytes)
        self.violation: PolicyViolationError | None = None

    def through(self, events: list[Event], *, last: bool = False) -> list[Event]:
        """Return what is to be sent of a batch; of the `last` one with all that stages had held."""
        for stage in self._stages:
            try:
                events = stage.feed(events)
            except HaltedError as halted:
                events = self._halted(halted)
            if last:
                events = [*events, *self._flushed(stage)]
        return self._counted(events)

    def alone(self, event: Last) -> Last:
        """Pass one of the last events through stages that have given out all that they held; raises their `HaltedError`."""
        passed: Event = event
        for stage in self._stages:
            [passed] = stage.feed([passed])
        return cast("Last", passed)

    def _flushed(self, stage: Stage) -> list[Event]:
        try:
            return stage.flush()
        except HaltedError as halted:
            return self._halted(halted)

    def _halted(self, halted: HaltedError) -> list[Event]:
        self.violation = self.violation or halted.violation
        return halted.passed

    def _counted(self, events: list[Event]) -> list[Event]:
        """Count the tokens, keep their text, and return what is to be sent."""
        if not events:
            return events
        before = self.tokens.count
        self.tokens.note(events)
        tokens = self.tokens.count - before
        if not self._sends_tokens:
            if tokens:
                events = [event for event in events if type(event) is not Token]
            self._observer.batch(events, tokens=tokens, sent=0)
            return events
        if tokens and not before:
            self._observer.first_token(perf_counter() - self._made_at)
        self._observer.batch(events, tokens=tokens, sent=tokens)
        return events
