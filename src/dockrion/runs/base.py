"""What a run is made with, and whom it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from dockrion.runs.observer import RunObserver
from dockrion.runs.output import OutputRules
from dockrion.runs.sentence import ErrorSentences

if TYPE_CHECKING:
    from dockrion.runs.run import Run
    from dockrion.runs.spans import RunTracing


class RunRules(msgspec.Struct, frozen=True):
    """What all runs of an app share."""

    agent_name: str
    framework: str
    output: OutputRules
    sentences: ErrorSentences
    observer: RunObserver
    # Where nothing is traced there is none.
    tracing: RunTracing | None = None


class Worker(Protocol):
    """What the agent runs on, a task or a job of a thread; to cancel it is to wait for it no more."""

    def cancel(self) -> object: ...


class Owner(Protocol):
    """Told on the event loop's thread what its runs do."""

    def waits(self, run: Run) -> None:
        """Its agent has asked, and goes on only when it has been answered."""
        ...

    def goes_on(self, run: Run) -> None: ...

    def ended(self, run: Run) -> None: ...
