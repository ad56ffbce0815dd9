"""The span of a run: `invoke_agent`, from its beginning to how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dockrion.events.model import Cancelled, Complete, Failed, Interrupted, Outcome, RunStatus
from dockrion.runs.ending import LOST
from dockrion.telemetry import genai
from dockrion.telemetry.base import Tracer, Usage, earlier_of

if TYPE_CHECKING:
    from dockrion.runs.run import Run

_NOTHING: Final = Usage()
_STATUS: Final[dict[type[Outcome], str]] = {
    Interrupted: RunStatus.INTERRUPTED.value,
    Complete: RunStatus.COMPLETED.value,
    Failed: RunStatus.FAILED.value,
    Cancelled: RunStatus.CANCELLED.value,
}


class RunSpan:
    """Made where the run begins, maybe on a thread; everything below it is its child."""

    __slots__ = ("_span", "_usage")

    def __init__(self, run: Run, tracer: Tracer) -> None:
        context, rules = run.context, run.rules
        attributes = genai.agent_attributes(
            rules.agent_name,
            framework=rules.framework,
            version=rules.version,
            run_id=context.run_id,
            thread_id=context.thread_id,
            attempt=context.attempt,
        )
        self._span = tracer.span(f"invoke_agent {rules.agent_name}", attributes, cause=run.cause)
        self._usage = _NOTHING
        if context.trace_id is None:
            context.trace_id = self._span.trace_id
        earlier = earlier_of(run.cause)
        if earlier is not None:
            self._span.follows(earlier)

    def enter(self) -> None:
        """Make it current for the agent: in its task, or its thread."""
        self._span.enter()

    def used(self, usage: Usage) -> None:
        self._usage += usage

    def end(self, outcome: Outcome) -> None:
        span = self._span
        if self._usage is not _NOTHING:
            span.note(genai.usage_attributes(self._usage))
        if outcome is LOST:
            span.fail("WORKER_LOST", LOST.error)
        else:
            span.note({genai.STATUS: _STATUS[type(outcome)]})
            if isinstance(outcome, Failed):
                span.fail(outcome.code, outcome.error)
        span.end()
