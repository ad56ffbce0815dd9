"""LangGraph: compiled graphs as agents.

LangGraph's own event queue has no bound, and what a node writes and what it emits come out of it in another order
than they were made in. So tokens, tool calls and steps are taken in a callback handler that the models await
(`callbacks.py`), and the stream writer of the run is ours: both put straight into the run's outbox.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal._constants import (
    CONFIG_KEY_RESUMING,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_STREAM,
)
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.pregel._messages import StreamMessagesHandler
from langgraph.pregel.protocol import StreamProtocol
from langgraph.runtime import Runtime
from langgraph.types import Command

from dockrion.adapters.callbacks import FrameworkEvents
from dockrion.adapters.checkpointers import usable_on_loop
from dockrion.adapters.objects import Closer, run_config
from dockrion.adapters.shapes import Shapes
from dockrion.adapters.tools import gate_tools
from dockrion.errors import AgentExecutionError, InvalidAgentError
from dockrion.events import emitted
from dockrion.events.context import StreamContext
from dockrion.events.jsonable import plain
from dockrion.events.model import Answers, Interrupt, Interrupted, Token
from dockrion.events.outbox import Outbox
from dockrion.events.tools import ToolFilter

# Its own types say `Unknown` in too many places.
Graph = Any
_INTERRUPTS: Final = "__interrupt__"


class GraphAgent:
    """A compiled graph, run with `astream` on the event loop; its sync nodes run in worker threads."""

    framework = "langgraph"
    in_thread = False
    gates_tools = True

    def __init__(
        self,
        graph: Graph,
        *,
        name: str,
        shapes: Shapes,
        closer: Closer | None = None,
        tools: ToolFilter | None = None,
    ) -> None:
        self._graph = graph
        self._name = name
        self._shapes = shapes
        self._closer = closer
        self._ungate = None if tools is None else gate_tools(tools)

    @classmethod
    async def load(
        cls,
        graph: Any,
        *,
        name: str,
        shapes: Shapes,
        closer: Closer | None = None,
        tools: ToolFilter | None = None,
    ) -> GraphAgent:
        """Take what the entrypoint gave; raise `InvalidAgentError` when that is no compiled graph."""
        if not isinstance(graph, Pregel):
            hint = "; return graph.compile()" if hasattr(graph, "compile") else ""
            raise InvalidAgentError(
                f"agent.entrypoint: {name} must give a compiled LangGraph graph, "
                f"got an object of {type(graph).__name__}{hint}"
            )
        usable = await _with_usable_checkpointer(cast("Graph", graph))
        return cls(usable, name=name, shapes=shapes, closer=closer, tools=tools)

    async def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:  # noqa: ARG002
        graph, outbox = self._graph, context.outbox
        final: Any = None
        # Nodes that work side by side ask one after the other, and others may still change the state.
        asked: dict[str, Any] = {}
        config = run_config(context)
        if isinstance(payload, Answers):
            payload = await self._going_on(payload, context)
            if isinstance(payload, Interrupted):
                return payload
        elif payload is not None and context.attempt == 1 and self._has_checkpointer:
            # Else LangGraph goes on with the last run of the same id in this thread, and passes over the payload:
            # right for a second attempt, wrong for a caller who uses an id again.
            config["configurable"][CONFIG_KEY_RESUMING] = False
        handler = None
        if outbox is not None:
            handler = GraphEvents(context, outbox, nodes=self._shapes.nodes)
            config["callbacks"] = [handler]
            config["configurable"] |= _writing_to(partial(_write, handler), graph.store)
        try:
            # What `invoke` returns is not the whole state, where the graph has an output schema.
            async for state in graph.astream(
                payload, config, stream_mode="values", output_keys=graph.output_channels
            ):
                interrupts = _interrupts_in(state)
                asked.update((one.id, one) for one in interrupts)
                if not interrupts:
                    final = state
        finally:
            if handler is not None:
                handler.release()
        if asked:
            if not self._has_checkpointer:
                raise AgentExecutionError("interrupt() needs a checkpointer")
            return Interrupted([Interrupt(plain(one.value), one.id) for one in asked.values()])
        if self._has_breakpoints:
            state = await graph.aget_state(run_config(context))
            if state.next:
                return _stopped_at(state)
        return self._cut(final)

    @property
    def _has_checkpointer(self) -> bool:
        return self._graph.checkpointer not in (None, False)

    @property
    def _has_breakpoints(self) -> bool:
        """Whether it stops at nodes by itself, and can go on from there: `compile(interrupt_before=..., interrupt_after=...)`."""
        graph = self._graph
        breakpoints = graph.interrupt_before_nodes or graph.interrupt_after_nodes
        return bool(breakpoints) and self._has_checkpointer

    async def _going_on(self, answers: Answers, context: StreamContext) -> Any:
        """Return the input with which the thread goes on; raise when there is nothing to go on with."""
        if not self._has_checkpointer:
            raise AgentExecutionError("The run cannot go on: the graph has no checkpointer.")
        state = await self._graph.aget_state(run_config(context))
        if state.created_at is None:
            raise AgentExecutionError(
                "The run cannot go on: the graph's checkpointer does not know its thread. "
                "One that keeps threads in memory forgets them when its process ends."
            )
        # What is answered already must not be again: a node's later questions would take it for theirs.
        waiting = {one.id for one in state.interrupts}
        values = {key: value for key, value in answers.values.items() if key in waiting}
        if values:
            return Command(resume=values)
        if self._has_breakpoints and state.next and not waiting:
            stopped = _stopped_at(state)
            if stopped.interrupts[0].interrupt_id not in answers.values:
                return stopped
        # Without input the thread goes on from where it is.
        return None

    def _cut(self, final: Any) -> Any:
        if isinstance(final, str):  # of the functional API
            return self._shapes.output_of_text(final)
        if not isinstance(final, Mapping):
            return final
        state = dict(cast("Mapping[str, Any]", final))
        keys = self._shapes.output_keys
        if keys and all(key in state for key in keys):
            return {key: state[key] for key in keys}
        return state

    def describe(self) -> dict[str, Any]:
        checkpointer = self._graph.checkpointer
        return {
            "type": "entrypoint",
            "entrypoint": self._name,
            "class": type(self._graph).__name__,
            "nodes": [str(node) for node in self._graph.nodes if not str(node).startswith("__")],
            "checkpointer": type(checkpointer).__name__ if checkpointer else None,
            "streaming": True,
        }

    async def close(self) -> None:
        if self._ungate is not None:
            self._ungate()
        if self._closer is not None:
            await self._closer()


def _stopped_at(state: Any) -> Interrupted:
    """Ask whether to go on; the id is that of the place, so an answer is for no other breakpoint."""
    checkpoint_id: str = state.config["configurable"]["checkpoint_id"]
    return Interrupted([Interrupt({"next": list(state.next)}, checkpoint_id)])


def _interrupts_in(state: Any) -> Any:
    return cast("dict[str, Any]", state).get(_INTERRUPTS, ()) if isinstance(state, dict) else ()


class GraphEvents(FrameworkEvents, StreamMessagesHandler):
    """`FrameworkEvents` that LangGraph takes for one of its own.

    For any other streaming handler it runs each node as a stream, which is slower and not the same.
    """

    subgraphs = True
    parent_ns = None


def _writing_to(write: Callable[[Any], None], store: Any) -> dict[str, Any]:
    """Return what makes `get_stream_writer()` give `write`, in the graph and in graphs within it.

    A graph takes the writer of its caller's runtime where it finds itself inside another graph's stream, and the
    store of that runtime instead of its own.
    """
    return {
        CONFIG_KEY_RUNTIME: Runtime(stream_writer=write, store=store),
        CONFIG_KEY_STREAM: StreamProtocol(_nothing, set()),
    }


def _nothing(_: Any) -> None:
    pass


def _write(handler: GraphEvents, value: Any) -> None:
    """The stream writer of nodes: a `str` is a token, a mapping with an event's type that event, else `custom:data`."""
    outbox: Outbox = handler.outbox
    if type(value) is str:
        outbox.put_and_wait(Token(value, None, _current_node()), len(value))
        return
    if isinstance(value, str):
        outbox.put_and_wait(*emitted.token(value, node=_current_node()))
        return
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        kind = fields.get("type")
        if emitted.is_event_type(kind):
            kind = cast("str", kind)
            if kind == "token" or handler.context.events_filter.is_allowed(kind):
                outbox.put_and_wait(*emitted.from_mapping(kind, fields))
            else:
                outbox.check()
            return
    handler.context.sync_emit("data", value)


def _current_node() -> str | None:
    config = var_child_runnable_config.get()
    metadata: Any = None if config is None else config.get("metadata")
    return None if metadata is None else metadata.get("langgraph_node")


async def _with_usable_checkpointer(graph: Graph) -> Graph:
    checkpointer: Any = graph.checkpointer
    if not isinstance(checkpointer, BaseCheckpointSaver):
        return graph
    usable = await usable_on_loop(cast("Any", checkpointer))
    if usable is checkpointer:
        return graph
    graph = copy.copy(graph)
    graph.checkpointer = usable
    return graph
