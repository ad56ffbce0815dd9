"""The seam between events and what transforms them."""

from __future__ import annotations

from typing import Protocol

from dockrion.events.model import Event


class Stage(Protocol):
    """Transforms the events of one run, a batch at a time; does no I/O and keeps no reference to a batch.

    `feed` may hold events back and give them out later; `flush` gives out all that is held, once, before the
    run ends. The terminal event comes last, alone, after `flush`, and comes back alone. An exception ends the
    run with `INTERNAL_ERROR`: nothing of the batch is sent.
    """

    def feed(self, batch: list[Event]) -> list[Event]: ...

    def flush(self) -> list[Event]: ...
