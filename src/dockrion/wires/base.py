"""The seam of protocols."""

from __future__ import annotations

from typing import Protocol

from dockrion.events.model import Batch


class Wire(Protocol):
    """Writes the events of one run for one connection: one object for each request, fed in order.

    `encode` gives the bytes of a whole batch, for one write. `heartbeat` gives what keeps an idle connection
    alive; it belongs to the connection, not to the run.
    """

    @property
    def content_type(self) -> bytes: ...

    def encode(self, batch: Batch) -> bytes: ...

    def heartbeat(self) -> bytes: ...
