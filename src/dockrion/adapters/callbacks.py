"""What the LangChain family tells while it works, as events: tokens, tool calls, and the steps of graphs.

LangChain calls its handlers in two ways. On the event loop it awaits a coroutine function, and calls a plain
one; in threads, and from sync code on the loop, it calls whatever it finds, and runs a coroutine that it gets in a
loop of its own. `InEither` gives each the kind that it can do best with, so an async model waits for a slow reader
without blocking the loop, and a sync one waits in its thread. Each callback is also a place where a run that is
over ends: `RunCancelled` is no `Exception`, so nothing of LangChain catches it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, Generation, GenerationChunk, LLMResult

# Its presence among the handlers is what makes chat models stream when they are merely invoked.
from langchain_core.tracers._streaming import (  # pyright: ignore[reportPrivateUsage]
    _StreamingCallbackHandler,
)

from dockrion.adapters.spans import FrameworkSpans
from dockrion.adapters.tools import is_refused
from dockrion.adapters.usage import usage_of
from dockrion.errors import ToolNotAllowedError
from dockrion.events import emitted
from dockrion.events.context import StreamContext
from dockrion.events.emitted import Emitted
from dockrion.events.model import Token
from dockrion.events.outbox import Outbox

NOSTREAM: Final = "nostream"
# What LangGraph puts between the graphs of a namespace, and behind the name of a node in it.
_LEVEL: Final = "|"
_NODE_END: Final = ":"
# What LangGraph tags the call of a node with, and what it does not want to be seen.
_NODE_TAG: Final = "graph:step:"
_HIDDEN: Final = "langsmith:hidden"
# What a graph raises through its nodes and tools when it waits or moves on: no failure.
_NO_FAILURES: Final = ("GraphBubbleUp", "GraphInterrupt", "ParentCommand")


class ModelCall(msgspec.Struct, gc=False):
    """A call of a model whose tokens are sent."""

    node: str | None
    pieces: int = 0


class Started(msgspec.Struct):
    """A node or a tool at work."""

    name: str
    began: float
    input_keys: list[str] | None = None
    call_id: str | None = None


class InEither:
    """A callback made of a plain method that returns the event to emit, if any."""

    def __init__(self, make: Callable[..., Emitted | None]) -> None:
        self._make = make

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, handler: FrameworkEvents | None, _owner: type) -> Any:
        if handler is None:
            return self
        kinds = handler.kinds.get(self._name)
        if kinds is None:
            kinds = handler.kinds[self._name] = _kinds(handler, self._make)
        return kinds[threading.get_ident() != handler.loop_thread]


def _kinds(
    handler: FrameworkEvents, make: Callable[..., Emitted | None]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the callback for the event loop, and the one for threads."""
    outbox, loop_thread = handler.outbox, handler.loop_thread

    async def awaited(*args: Any, **told: Any) -> None:
        if outbox.closed:
            await outbox.refuse()
        event = make(handler, *args, **told)
        if event is not None:
            outbox.put(*event)
        # Elsewhere sync code has the loop, which waits for this coroutine: it must not wait for the loop.
        if outbox.turn_due and threading.get_ident() == loop_thread:
            await outbox.turn()

    def called(*args: Any, **told: Any) -> None:
        event = make(handler, *args, **told)
        if event is not None:
            outbox.put_and_wait(*event)
        else:
            outbox.check()

    return awaited, called


class FrameworkEvents(BaseCallbackHandler, _StreamingCallbackHandler[Any]):
    """The handler of one run; made on the event loop's thread.

    `nodes` are the graph nodes whose tokens are sent, with all that is called inside them; none: all.
    """

    run_inline = True
    raise_error = True

    def __init__(
        self, context: StreamContext, outbox: Outbox, *, nodes: frozenset[str] | None = None
    ) -> None:
        self.context = context
        self.outbox = outbox
        self.loop_thread = threading.get_ident()
        self.kinds: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {}
        # Whether a model has given a token, or was told to give none: other text may then be a model's as well.
        self.has_models_text = False
        self._nodes = nodes
        self._models: dict[UUID, ModelCall] = {}
        self._at_work: dict[UUID, Started] = {}
        tracer = context.tracer
        self._spans = None if tracer is None else FrameworkSpans(tracer, context)

    def release(self) -> None:
        """Let go of what refers back to this handler: the run is over, and only the collector would find it."""
        self.kinds.clear()
        if self._spans is not None:
            self._spans.release()

    def tap_output_aiter(self, run_id: UUID, output: Any) -> Any:  # noqa: ARG002
        return output

    def tap_output_iter(self, run_id: UUID, output: Any) -> Any:  # noqa: ARG002
        return output

    # Models

    def _model_starts(
        self,
        _serialized: Any,
        prompts: Any,
        *,
        run_id: UUID,
        tags: list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **told: Any,
    ) -> None:
        if self._spans is not None:
            self._spans.model_starts(run_id, prompts, metadata, told)
        if tags and NOSTREAM in tags:
            self.has_models_text = True
            return
        if self._nodes is None or not self._nodes.isdisjoint(_path(metadata)):
            node = None if metadata is None else metadata.get("langgraph_node")
            self._models[run_id] = ModelCall(node)

    def _model_speaks(
        self,
        token: Any,
        *,
        chunk: GenerationChunk | None = None,
        run_id: UUID,
        **_: Any,
    ) -> Emitted | None:
        call = self._models.get(run_id)
        if call is None:
            return None
        if not call.pieces and self._spans is not None:
            self._spans.model_speaks(run_id)
        message = getattr(chunk, "message", None)
        if message is None:
            text, finish_reason, message_id = token, None, None
        else:
            text = message.content
            finish_reason = message.response_metadata.get("finish_reason")
            message_id = message.id
        if type(text) is not str:
            text = _text_of(text)
        if not text and finish_reason is None:
            return None
        return self._said(call, text, finish_reason, message_id or str(run_id))

    def _model_ends(self, response: LLMResult, *, run_id: UUID, **_: Any) -> Emitted | None:
        usage = usage_of(response)
        if usage is not None:
            self.context.used(usage)
        if self._spans is not None:
            self._spans.model_ends(run_id, response, usage)
        call = self._models.pop(run_id, None)
        if call is None or call.pieces or not response.generations or not response.generations[0]:
            return None
        # It does not stream: its answer is one token.
        whole = cast("Generation", response.generations[0][0])
        text, message_id = whole.text, None
        if isinstance(whole, ChatGeneration):
            message_id = whole.message.id
        return self._said(call, text, None, message_id or str(run_id)) if text else None

    def _model_fails(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._models.pop(run_id, None)
        if self._spans is not None:
            self._spans.fails(run_id, error)

    def _said(
        self, call: ModelCall, text: str, finish_reason: str | None, message_id: str
    ) -> Emitted:
        call.pieces += 1
        self.has_models_text = True
        return Token(text, finish_reason, call.node, message_id), len(text)

    # Tools

    def _tool_starts(
        self,
        serialized: Mapping[str, Any] | None,
        text: str,
        *,
        run_id: UUID,
        inputs: Mapping[str, Any] | None = None,
        tool_call_id: str | None = None,
        **told: Any,
    ) -> Emitted | None:
        name = str((serialized or {}).get("name") or told.get("name") or "tool")
        if not is_refused(self.context):
            # Of a class with a `run` of its own: nobody has asked yet.
            self.context.guard_tool(name)
        if self._spans is not None:
            self._spans.tool_starts(run_id, name, tool_call_id)
        call_id = tool_call_id or str(run_id)
        self._at_work[run_id] = Started(name, perf_counter(), call_id=call_id)
        if not self.context.events_filter.is_allowed("tool_call"):
            return None
        return emitted.tool_call(name, call_id, text if inputs is None else _visible(inputs))

    def _tool_ends(self, output: Any, *, run_id: UUID, **_: Any) -> Emitted | None:
        started = self._at_work.pop(run_id, None)
        if started is None:
            return None
        failed = False
        output = _answer(output, started.call_id)
        if isinstance(output, ToolMessage):
            output, failed = output.content, output.status == "error"
        if self._spans is not None:
            self._spans.tool_ends(run_id, failed=failed)
        if not self.context.events_filter.is_allowed("tool_result"):
            return None
        return emitted.tool_result(
            started.name,
            started.call_id,
            None if failed else output,
            _milliseconds(started),
            str(output) if failed else None,
        )

    def _tool_fails(self, error: BaseException, *, run_id: UUID, **_: Any) -> Emitted | None:
        started = self._at_work.pop(run_id, None)
        is_failure = type(error).__name__ not in _NO_FAILURES
        self._fails(run_id, error if is_failure else None)
        allowed = self.context.events_filter.is_allowed("tool_result")
        if started is None or not allowed or not is_failure:
            return None
        return emitted.tool_result(
            started.name,
            started.call_id,
            None,
            _milliseconds(started),
            error.message
            if isinstance(error, ToolNotAllowedError)
            else self.context.describe_error(error),
        )

    # Chains, and what of them is a node of a graph

    def _chain_starts(
        self,
        _serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        metadata: Mapping[str, Any] | None = None,
        tags: list[str] | None = None,
        name: str | None = None,
        **_: Any,
    ) -> None:
        if metadata is None or name is None or name != metadata.get("langgraph_node"):
            return
        # A graph that is a node may have the node's name.
        if not tags or _HIDDEN in tags or not any(tag.startswith(_NODE_TAG) for tag in tags):
            return
        if self._spans is not None:
            self._spans.node_starts(run_id, name)
        if self.context.events_filter.is_allowed("step"):
            self._at_work[run_id] = Started(name, perf_counter(), _keys(inputs))

    def _chain_ends(self, outputs: Any, *, run_id: UUID, **_: Any) -> Emitted | None:
        if self._spans is not None:
            self._spans.ends(run_id)
        started = self._at_work.pop(run_id, None)
        if started is None:
            return None
        return emitted.step(
            started.name, _milliseconds(started), started.input_keys, _keys(outputs)
        )

    def _chain_fails(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        self._at_work.pop(run_id, None)
        self._fails(run_id, None if type(error).__name__ in _NO_FAILURES else error)

    def _fails(self, run_id: UUID, error: BaseException | None) -> None:
        """End a span, with an error if there is one."""
        if self._spans is None:
            return
        if error is None:
            self._spans.ends(run_id)
        else:
            self._spans.fails(run_id, error)

    on_llm_start = on_chat_model_start = InEither(_model_starts)  # pyright: ignore[reportAssignmentType]
    on_llm_new_token = InEither(_model_speaks)  # pyright: ignore[reportAssignmentType]
    on_llm_end = InEither(_model_ends)  # pyright: ignore[reportAssignmentType]
    on_llm_error = InEither(_model_fails)  # pyright: ignore[reportAssignmentType]
    on_tool_start = InEither(_tool_starts)  # pyright: ignore[reportAssignmentType]
    on_tool_end = InEither(_tool_ends)  # pyright: ignore[reportAssignmentType]
    on_tool_error = InEither(_tool_fails)  # pyright: ignore[reportAssignmentType]
    on_chain_start = InEither(_chain_starts)  # pyright: ignore[reportAssignmentType]
    on_chain_end = InEither(_chain_ends)  # pyright: ignore[reportAssignmentType]
    on_chain_error = InEither(_chain_fails)  # pyright: ignore[reportAssignmentType]


def _path(metadata: Mapping[str, Any] | None) -> list[str]:
    """Return the node and the nodes around it, whose subgraphs it is in."""
    namespace = (metadata or {}).get("langgraph_checkpoint_ns") or ""
    return [level.partition(_NODE_END)[0] for level in namespace.split(_LEVEL)]


def _text_of(content: Any) -> str:
    """Return the text among content blocks; tool calls, reasoning and images are none."""
    if isinstance(content, str):
        return str.__str__(content)
    if not isinstance(content, list):
        return ""
    parts: list[str] = []
    for block in cast("list[Any]", content):
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, Mapping):
            fields = cast("Mapping[str, Any]", block)
            if fields.get("type") == "text" and isinstance(fields.get("text"), str):
                parts.append(fields["text"])
    return "".join(parts)


def _visible(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool's arguments without what the framework injects (`runtime`, `state`, `config` objects)."""
    return {name: value for name, value in inputs.items() if _is_data(value)}


def _answer(output: Any, call_id: str | None) -> Any:
    """Return what a tool tells the model: of a `Command`, which changes the state, the message for this call."""
    update = output.update if type(output).__name__ == "Command" else None
    if isinstance(update, Mapping):
        for values in cast("Mapping[str, Any]", update).values():
            for value in cast("list[Any]", values) if isinstance(values, list) else ():
                if isinstance(value, ToolMessage) and value.tool_call_id == call_id:
                    return value
    return output


def _is_data(value: Any) -> bool:
    if isinstance(value, BaseMessage):
        return True
    return not type(value).__module__.startswith(("langgraph.", "langchain_core.runnables"))


def _keys(value: Any) -> list[str] | None:
    """Return the keys of a state or of a node's update, whatever its type."""
    kind = cast("Any", type(value))
    if kind.__name__ == "Command":
        value = value.update
    if isinstance(value, Mapping):
        return [str(key) for key in cast("Mapping[Any, Any]", value)]
    fields = getattr(kind, "model_fields", None) or getattr(kind, "__dataclass_fields__", None)
    return None if fields is None else [str(name) for name in fields]


def _milliseconds(started: Started) -> float:
    return round((perf_counter() - started.began) * 1e3, 3)
