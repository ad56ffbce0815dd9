"""Frameworks as one stream: from the `agent` section of the Dockfile to an `Agent` that the runner drives."""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from dockrion._registry import Registry
from dockrion.adapters.base import Agent, ForeignAdapter
from dockrion.adapters.callables import CallableAgent, accepts
from dockrion.adapters.held import HeldContext
from dockrion.adapters.loading import comes_from_outside, import_object, load_failure
from dockrion.adapters.objects import ForeignAgent, ObjectAgent
from dockrion.adapters.shapes import Shapes
from dockrion.errors import AdapterError, AdapterLoadError, InvalidAgentError
from dockrion.events.tools import ToolFilter
from dockrion.spec.agent import AgentSpec
from dockrion.spec.frameworks import declare_framework

logger = logging.getLogger(__name__)

_NO_SHAPES: Final = Shapes()

# Frameworks served by classes of other packages.
ADAPTERS: Final[Registry[Any]] = Registry("adapters", {}, extras={})
# What serves an entrypoint's object here; `custom` is any object with `.invoke`.
FRAMEWORKS: Final[Registry[Any]] = Registry(
    "framework",
    {
        "langgraph": "dockrion.adapters.langgraph:GraphAgent",
        "langchain": "dockrion.adapters.langchain:RunnableAgent",
    },
    extras={"langgraph": "langgraph", "langchain": "langchain"},
)
BUILTIN: Final = frozenset({"custom", *FRAMEWORKS.names()})


async def load_agent(
    spec: AgentSpec,
    *,
    folder: Path,
    arguments: Mapping[str, Any],
    shapes: Shapes = _NO_SHAPES,
    tools: ToolFilter | None = None,
) -> Agent:
    """Load what `handler` or `entrypoint` names; both, when both are there, and the handler serves.

    With rules for `tools`, an entrypoint that serves must be able to gate them.
    Imports and sync factories run in a worker thread, async factories and context managers on this loop.
    Raises `AdapterError` with a message for the agent's author.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    if spec.handler is not None:
        handler = await _load_handler(spec, spec.handler, folder)
        if spec.entrypoint is None:
            return handler
        entrypoint = await _load_entrypoint(spec, spec.entrypoint, folder, arguments, shapes, tools)
        return HandlerWithEntrypoint(handler, entrypoint)
    if spec.entrypoint is None:
        raise InvalidAgentError("agent: one of `handler`, `entrypoint` must be there")
    agent = await _load_entrypoint(spec, spec.entrypoint, folder, arguments, shapes, tools)
    if tools is not None and not agent.gates_tools:
        await agent.close()
        raise InvalidAgentError(
            f"policies.tools: the tool calls of an entrypoint of framework {spec.framework!r} cannot be stopped; "
            "serve it with an `agent.handler` that calls context.guard_tool(name) before each tool, "
            "use an adapter that has `gates_tools`, or remove policies.tools"
        )
    return agent


class HandlerWithEntrypoint:
    """A handler that serves, beside an entrypoint that is loaded and shown."""

    gates_tools = True

    def __init__(self, handler: Agent, entrypoint: Agent) -> None:
        self.framework = handler.framework
        self.in_thread = handler.in_thread
        self._handler = handler
        self._entrypoint = entrypoint

    def call(self, payload: Any, context: Any, *, streams: bool) -> Any:
        return self._handler.call(payload, context, streams=streams)

    def describe(self) -> dict[str, Any]:
        return {**self._handler.describe(), "entrypoint": self._entrypoint.describe()}

    async def close(self) -> None:
        try:
            await self._handler.close()
        finally:
            await self._entrypoint.close()


def register_adapter(name: str, cls: type[Any]) -> None:
    """Serve `agent.framework: <name>` with `cls`; see `dockrion.adapters.base.ForeignAdapter`."""
    missing = [method for method in ("load", "invoke", "get_metadata") if not hasattr(cls, method)]
    if missing:
        raise InvalidAgentError(f"adapter {name!r}: {cls.__name__} lacks {', '.join(missing)}")
    declare_framework(name)
    ADAPTERS.register(name, cls)


def is_framework_supported(framework: str) -> bool:
    return framework in BUILTIN or framework in ADAPTERS.names()


def list_supported_frameworks() -> list[str]:
    return sorted({*BUILTIN, *ADAPTERS.names()})


async def _load_handler(spec: AgentSpec, target: str, folder: Path) -> Agent:
    if spec.framework not in BUILTIN and spec.framework in ADAPTERS.names():
        return await _load_foreign(spec.framework, target)
    function = await asyncio.to_thread(import_object, target, field="agent.handler", folder=folder)
    return CallableAgent(function, name=target, framework=spec.framework)


async def _load_entrypoint(
    spec: AgentSpec,
    target: str,
    folder: Path,
    arguments: Mapping[str, Any],
    shapes: Shapes,
    tools: ToolFilter | None,
) -> Agent:
    if spec.framework not in BUILTIN:
        return await _load_foreign(spec.framework, target)
    # The slow import of a framework, and the news that it is missing, come before the agent's own.
    served_by = None
    if spec.framework in FRAMEWORKS.names():
        served_by = await asyncio.to_thread(FRAMEWORKS.get, spec.framework)
    made = await asyncio.to_thread(import_object, target, field="agent.entrypoint", folder=folder)
    closer = None
    # What is neither is for the framework's own loader to refuse: it knows what is near.
    makes = callable(made) or served_by is None
    if inspect.isclass(made) or (makes and not hasattr(made, "invoke")):
        made, closer = await _run_factory(made, target, arguments)
    if served_by is not None:
        agent: Agent = await served_by.load(
            made, name=target, shapes=shapes, closer=closer, tools=tools
        )
        return agent
    return ObjectAgent(made, name=target, framework=spec.framework, closer=closer)


async def _load_foreign(framework: str, target: str) -> Agent:
    cls = ADAPTERS.get(framework)
    what = f"agent: the adapter of framework {framework!r} could not load {target}"
    try:
        adapter: ForeignAdapter = cls()
        loading = await asyncio.to_thread(adapter.load, target)
        if inspect.isawaitable(loading):
            await loading
    except AdapterError:
        raise
    except BaseException as exc:
        if comes_from_outside(exc):
            raise
        raise load_failure(what, exc) from exc
    return ForeignAgent(adapter, framework=framework)


async def _run_factory(factory: Any, target: str, arguments: Mapping[str, Any]) -> tuple[Any, Any]:
    """Call the factory; return what it made, and what closes it at shutdown, as an awaitable."""
    if not callable(factory):
        raise InvalidAgentError(
            f"agent.entrypoint: {target} is neither an object with `.invoke` nor a factory, but {type(factory).__name__}"
        )
    taken = {key: value for key, value in arguments.items() if accepts(factory, key)}
    try:
        if inspect.iscoroutinefunction(factory):
            made = await factory(**taken)
        else:
            made = await asyncio.to_thread(lambda: factory(**taken))
            if inspect.isawaitable(made):
                made = await made
        return await _enter(made)
    except AdapterLoadError:
        raise
    except BaseException as exc:
        if comes_from_outside(exc):
            raise
        raise load_failure(f"agent.entrypoint: the factory {target} raised", exc) from exc


async def _enter(made: Any) -> tuple[Any, Any]:
    if hasattr(made, "invoke"):
        return made, None
    kind = cast("Any", type(made))
    if hasattr(kind, "__aenter__"):
        held = HeldContext(made)
        return await held.enter(), held.leave
    if hasattr(kind, "__enter__"):
        entered = await asyncio.to_thread(made.__enter__)
        return entered, lambda: asyncio.to_thread(made.__exit__, None, None, None)
    return made, None
