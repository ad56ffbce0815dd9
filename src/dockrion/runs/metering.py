"""What the models of runs use: from the adapter's thread to the run, and to whoever counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dockrion.events.context import StreamContext
from dockrion.runs.observer import RunObserver
from dockrion.telemetry.base import Usage

if TYPE_CHECKING:
    from dockrion.runs.run import Run


class RunMeter:
    """One for a runner. `find` gives the run that is active under an id."""

    def __init__(self, find: Callable[[str], Run | None], observer: RunObserver) -> None:
        self._find = find
        self._observer = observer

    def used(self, usage: Usage, context: StreamContext) -> None:
        if context.outbox is not None:
            context.outbox.on_loop(partial(self._used, usage, context))

    def _used(self, usage: Usage, context: StreamContext) -> None:
        run = self._find(context.run_id)
        if run is None or run.context is not context:
            # It was paid for, be the run over or not.
            self._observer.used(usage)
        else:
            run.used(usage)
