"""The span of a run: `invoke_agent`, from its beginning to how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import Failed, Outcome
from dockrion.runs.ending import LOST, STATUS_OF
from dockrion.telemetry import genai
from dockrion.telemetry.base import Span, Tracer, Usage, earlier_of

if TYPE_CHECKING:
    from dockrion.runs.run import Run

_NOTHING: Final = Usage()


class RunTracing:
    """Starts the spans of an agent's runs."""

    def __init__(
        self,
        tracer: Tracer,
        agent: str,
        *,
        framework: str,
        version: str | None = None,
        for_langfuse: bool = False,
    ) -> None:
        """`for_langfuse`: with what Langfuse wants to know of a trace."""
        self.tracer: Final = tracer
        self._agent = agent
        self._for_langfuse = for_langfuse
        self._name = f"invoke_agent {agent}"
        self._shared = genai.agent_attributes(agent, framework=framework, version=version)

    def begin(self, run: Run) -> RunSpan:
        """Start the span of a run that begins now, maybe on a thread; everything below it is its child."""
        context, cause = run.context, run.cause
        attributes = genai.run_attributes(
            context.run_id, thread_id=context.thread_id, attempt=context.attempt
        )
        if self._for_langfuse:
            user = None if context.identity.id == ANONYMOUS.id else context.identity.id
            extra = genai.langfuse_attributes(self._agent, session=context.thread_id, user=user)
            attributes = {**attributes, **extra}
        span = self.tracer.span(self._name, attributes, cause=cause, shared=self._shared)
        if context.trace_id is None:
            context.trace_id = span.trace_id
        earlier = earlier_of(cause)
        if earlier is not None:
            span.follows(earlier)
        return RunSpan(span)


class RunSpan:
    __slots__ = ("_span", "_usage")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._usage = _NOTHING

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
            span.note({genai.STATUS: STATUS_OF[type(outcome)].value})
            if isinstance(outcome, Failed):
                span.fail(outcome.code, outcome.error)
        span.end()
