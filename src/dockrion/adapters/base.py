"""The two seams of agents: `Agent`, what the runner drives, and `ForeignAdapter`, what other packages provide."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol, runtime_checkable

from dockrion.errors import AgentExecutionError
from dockrion.events.context import StreamContext
from dockrion.events.filter import EventsFilter
from dockrion.events.model import Answers


class Agent(Protocol):
    """A loaded agent.

    `call` starts one invocation and returns what the runner drives to its end: an awaitable, an async
    iterator, a generator, or the output itself. Iterators give what a generator agent may yield: a `str` is a
    token, a mapping with an event's `type` that event, anything else the output. With `in_thread`, `call`
    and a generator that it returns run on one worker thread; else on the event loop, which `call` must not
    block. `streams` is false for a `/invoke`, where nobody reads events. `call` raises whatever the agent
    raises. `close` releases what `load` opened, once, after the last call has ended.

    A run that waits for answers ended with `Interrupted` as its output. When they are there, `call` gets them as
    `Answers` in place of the payload, perhaps in another process, with the same `thread_id`; what the agent cannot go
    on with is an `AgentExecutionError`.

    `gates_tools` is true where a tool that `context.is_tool_allowed` refuses does not run. Of a handler it always
    is: its own code asks.
    """

    framework: str
    in_thread: bool
    gates_tools: bool

    def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any: ...

    def describe(self) -> dict[str, Any]:
        """Plain data for `GET /info`."""
        ...

    async def close(self) -> None: ...


def refuse_answers(payload: Any) -> None:
    """For agents of which nothing is left once they have ended: raise for what is no payload of theirs."""
    if isinstance(payload, Answers):
        raise AgentExecutionError(
            "The run cannot go on: only LangGraph graphs can be resumed after they have ended; "
            "what waited inside context.ask() ended with its process."
        )


@runtime_checkable
class ForeignAdapter(Protocol):
    """An adapter of another package: a class, made without arguments and registered by name.

    `load` gets the Dockfile's entrypoint or handler path, once. Optional beside these three:

    - `invoke_stream(payload, *, context, events_filter)`: a sync or async iterator of what a generator agent
      may yield; without it `invoke` is called once in a worker thread;
    - `async ainvoke(payload)`: used instead of `invoke` when it is there;
    - a `config` parameter on any of them gets `{"configurable": {"thread_id": ..., "run_id": ...}}`;
    - `gates_tools = True`: it calls `context.guard_tool(name)` before each tool (the context of `invoke_stream`, or
      `dockrion.get_current_context()`), and the tool does not run when that raises. Without it the adapter is
      refused at start when the Dockfile has rules for tools.
    """

    def load(self, path: str) -> Any: ...

    def invoke(self, payload: Any) -> Any: ...

    def get_metadata(self) -> Mapping[str, Any]: ...


@runtime_checkable
class StreamingAdapter(ForeignAdapter, Protocol):
    """A foreign adapter that streams."""

    def invoke_stream(
        self, payload: Any, *, context: StreamContext, events_filter: EventsFilter
    ) -> Any: ...


@runtime_checkable
class AsyncAdapter(ForeignAdapter, Protocol):
    """A foreign adapter whose agent is async."""

    def ainvoke(self, payload: Any) -> Awaitable[Any]: ...
