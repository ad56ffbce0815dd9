"""The seam between a run's models and whoever counts what they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dockrion.events.context import StreamContext
    from dockrion.telemetry.base import Usage


class Meter(Protocol):
    """Called from any thread, once for each call of a model that tells; never waits."""

    def used(self, usage: Usage, context: StreamContext) -> None: ...
