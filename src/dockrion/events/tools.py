"""The seam between a run and the rules for its tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dockrion.errors import ToolNotAllowedError
    from dockrion.events.context import StreamContext


class ToolFilter(Protocol):
    """Says which tools may run, whoever asks."""

    def allows(self, tool: str) -> bool: ...


class ToolGate(ToolFilter, Protocol):
    """Makes known what was refused, too. Called from any thread; waits for a slow reader only off the event loop."""

    def refuse(self, tool: str, context: StreamContext) -> ToolNotAllowedError:
        """Tell everybody that a call in this context's run was refused, and return what to raise."""
        ...
