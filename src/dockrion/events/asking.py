"""The seam between a run and those who answer its agent's questions."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dockrion.events.context import StreamContext


class Asker(Protocol):
    """Brings questions to the callers of runs, and their answers back. Called from any thread."""

    def ask(self, question: Any, context: StreamContext) -> Future[Any]:
        """Let the context's run wait. The future gets the answer, or `RunCancelled` when the run ends without one;
        to cancel it takes the question back. Raises what copying `question` raises.
        """
        ...
