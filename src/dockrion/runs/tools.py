"""The gate that the tool calls of an app's runs pass: what happens when one is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from dockrion.errors import ToolNotAllowedError
from dockrion.events import emitted
from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.model import Failed
from dockrion.policy.tools import ToolRules
from dockrion.runs.observer import RunObserver

logger = logging.getLogger(__name__)

TOOLS_RULE: Final = "tools"


class RunTools:
    """One for a runner. A refused call is logged, counted once, an event where the filter allows it, and the
    end of its run where the rules say so. `halt` takes the run's id and its ending, from any thread.
    """

    def __init__(
        self, rules: ToolRules, observer: RunObserver, halt: Callable[[str, Failed], None]
    ) -> None:
        self._rules = rules
        self._observer = observer
        self._halt = halt

    def allows(self, tool: str) -> bool:
        return self._rules.allows(tool)

    def refuse(self, tool: str, context: StreamContext) -> ToolNotAllowedError:
        error = ToolNotAllowedError(tool)
        ids = {"run_id": context.run_id, "request_id": context.request_id}
        logger.warning("tool call refused", extra={"tool": tool, **ids})
        try:
            self._make_known(error, context)
        except RunCancelled:
            # The run is over: nobody listens, and the call is refused all the same.
            return error
        if self._rules.halts:
            self._halt(context.run_id, Failed(error.message, error.code, error.details))
        return error

    def _make_known(self, error: ToolNotAllowedError, context: StreamContext) -> None:
        outbox = context.outbox
        if outbox is None:
            return
        outbox.check()
        if context.events_filter.is_allowed("policy"):
            # Counted with the batch that it is in.
            outbox.put_and_wait(*emitted.policy(TOOLS_RULE, error.message, error.tool))
        else:
            # The observer is for the loop's thread alone.
            outbox.on_loop(lambda: self._observer.violated(TOOLS_RULE))
