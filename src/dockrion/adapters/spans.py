"""What the LangChain family tells while it works, as spans: nodes, calls of models, calls of tools.

The parent of each is whatever is current where it starts: LangChain and LangGraph run what is below a call in contexts
that they copy after it has been told, so what is entered then is what code below finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Any, cast
from uuid import UUID

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult

from dockrion.events.context import StreamContext
from dockrion.telemetry import genai
from dockrion.telemetry.base import Attributes, Kind, Span, Tracer, Usage

_CANCELS = ("CancelledError", "RunCancelled", "GeneratorExit", "KeyboardInterrupt")


class FrameworkSpans:
    """Those of one run, by the ids that LangChain has for calls. From any thread."""

    def __init__(self, tracer: Tracer, context: StreamContext) -> None:
        self._tracer = tracer
        self._context = context
        self._open: dict[UUID, Span] = {}
        # When models that have said nothing yet were called.
        self._silent: dict[UUID, float] = {}

    def node_starts(self, call: UUID, node: str) -> None:
        self._start(call, f"node {node}", genai.node_attributes(node))

    def tool_starts(self, call: UUID, tool: str, call_id: str | None) -> None:
        self._start(call, f"execute_tool {tool}", genai.tool_attributes(tool, call_id))

    def model_starts(
        self, call: UUID, prompts: Any, metadata: Mapping[str, Any] | None, told: Mapping[str, Any]
    ) -> None:
        known = metadata or {}
        asked: dict[str, Any] = {**(told.get("invocation_params") or {})}
        for name in ("temperature", "max_tokens"):
            asked.setdefault(name, known.get(f"ls_{name}"))
        model = known.get("ls_model_name") or asked.get("model") or asked.get("model_name")
        model = None if model is None else str(model)
        is_text = bool(prompts) and isinstance(prompts[0], str)
        operation = "text_completion" if is_text else "chat"
        attributes = genai.model_attributes(
            operation, model=model, provider=known.get("ls_provider"), asked=asked
        )
        self._silent[call] = perf_counter()
        name = operation if model is None else f"{operation} {model}"
        self._start(call, name, attributes, kind="client")

    def model_speaks(self, call: UUID) -> None:
        """The first piece of a model's answer is there."""
        began, span = self._silent.pop(call, None), self._open.get(call)
        if began is not None and span is not None:
            seconds = round(perf_counter() - began, 6)
            span.note(
                {"gen_ai.response.time_to_first_chunk": seconds, "gen_ai.request.stream": True}
            )

    def model_ends(self, call: UUID, response: LLMResult, usage: Usage | None) -> None:
        span = self._open.get(call)
        if span is not None:
            span.note(_answered(response))
            if usage is not None:
                span.note(genai.usage_attributes(usage))
        self.ends(call)

    def tool_ends(self, call: UUID, *, failed: bool) -> None:
        """`failed`: the framework has told the model so, in place of what the tool answers."""
        span = self._open.get(call)
        if failed and span is not None:
            span.fail("tool_error")
        self.ends(call)

    def ends(self, call: UUID) -> None:
        self._silent.pop(call, None)
        span = self._open.pop(call, None)
        if span is not None:
            span.end()

    def fails(self, call: UUID, error: BaseException, *, told: str | None = None) -> None:
        """End it with an error, of which is told what callers may know."""
        span = self._open.get(call)
        if span is not None:
            name = type(error).__name__
            if name in _CANCELS:
                span.fail("cancelled")
            else:
                span.fail(name, self._context.describe_error(error) if told is None else told)
        self.ends(call)

    def release(self) -> None:
        """End what has not ended: the run is over."""
        for call in tuple(self._open):
            self.ends(call)

    def _start(
        self, call: UUID, name: str, attributes: Attributes, *, kind: Kind = "internal"
    ) -> None:
        mine = {**attributes, genai.RUN_ID: self._context.run_id}
        span = self._open[call] = self._tracer.span(name, mine, kind=kind)
        span.enter()


def _answered(response: LLMResult) -> Attributes:
    """Return what a model says of its answer, beside the answer."""
    model: str | None = None
    response_id: str | None = None
    reasons: list[str] = []
    for one in response.generations[0] if response.generations else ():
        told: Mapping[str, Any] = cast("Generation", one).generation_info or {}
        if isinstance(one, ChatGeneration):
            told = {**told, **one.message.response_metadata}
            if isinstance(one.message, AIMessage):
                response_id = told.get("id") or one.message.id
        model = told.get("model_name") or told.get("model") or model
        reason = told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason")
        if reason:
            reasons.append(str(reason))
    return {
        "gen_ai.response.model": model,
        "gen_ai.response.id": response_id,
        "gen_ai.response.finish_reasons": reasons or None,
    }
