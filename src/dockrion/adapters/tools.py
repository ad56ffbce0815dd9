"""Tool calls of the LangChain family, stopped before the tool runs.

Every way to call a tool ends in `BaseTool.run` or `arun`: `invoke`, a `ToolNode`, an agent, in whatever thread and
with whatever callbacks. While an agent with tool rules is loaded, these two ask first. In place of a tool that may
not run, a stand-in does, which fails as LangChain's own tools fail; the tool itself is not touched. What a tool
class does in a `run` of its own is seen by the callback handler alone (`callbacks.py`), which stops it, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from typing import Any, Final, NoReturn

from langchain_core.tools import BaseTool, ToolException

from dockrion.errors import ToolNotAllowedError
from dockrion.events.context import StreamContext, get_current_context
from dockrion.events.tools import ToolFilter

logger = logging.getLogger(__name__)


class ToolRefusedError(ToolException, ToolNotAllowedError):
    """A refusal that LangChain takes for a tool's failure."""


def gate_tools(rules: ToolFilter) -> Callable[[], None]:
    """Hold all tool calls of the process to the rules of their run; return what undoes it.

    A call that belongs to no run, as in a thread that the agent started without `StreamContext.bind`, is held to
    `rules`: nobody knows whose it is.
    """
    _install()
    _outside.append(rules)
    return partial(_outside.remove, rules)


def is_refused(context: StreamContext) -> bool:
    """Whether the call whose start a callback of `context`'s run is told is one of a stand-in."""
    stand_in = _standing_in.get()
    if stand_in is None:
        return False
    if stand_in.context is None:
        # In a thread of the agent's own: now it is known whose call it is.
        stand_in.context = context
    return True


# The rules of the agents that are loaded in this process: one, but for tests and mounted apps.
_outside: Final[list[ToolFilter]] = []
_standing_in: Final[ContextVar[_StandIn | None]] = ContextVar("dockrion_stand_in", default=None)


@cache
def _install() -> None:
    """Put the gate into `BaseTool`, for good: others may wrap it after us."""
    tools: Any = BaseTool
    tools.run, tools.arun = _gated(tools.run), _gated_async(tools.arun)


def _gated(run: Callable[..., Any]) -> Any:
    @wraps(run)
    def gated(tool: BaseTool, *args: Any, **kwargs: Any) -> Any:
        if _may_run(tool):
            return run(tool, *args, **kwargs)
        with _in_place_of(tool, kwargs) as stand_in:
            return run(stand_in, *args, **kwargs)

    return gated


def _gated_async(arun: Callable[..., Any]) -> Any:
    @wraps(arun)
    async def gated(tool: BaseTool, *args: Any, **kwargs: Any) -> Any:
        if _may_run(tool):
            return await arun(tool, *args, **kwargs)
        with _in_place_of(tool, kwargs) as stand_in:
            return await arun(stand_in, *args, **kwargs)

    return gated


@contextmanager
def _in_place_of(tool: BaseTool, options: dict[str, Any]) -> Generator[_StandIn]:
    stand_in = _stand_in(tool, options)
    token = _standing_in.set(stand_in)
    try:
        yield stand_in
    finally:
        _standing_in.reset(token)


def _may_run(tool: BaseTool) -> bool:
    # A stand-in has the name of its tool, and refuses by itself.
    context = get_current_context()
    if context is not None:
        return context.is_tool_allowed(tool.name)
    return all(rules.allows(tool.name) for rules in _outside)


class _StandIn(BaseTool):
    """Fails in the place of `refused`, after its start was told to the callbacks."""

    refused: Any
    context: Any

    def _to_args_and_kwargs(
        self,
        tool_input: str | dict[str, Any],  # noqa: ARG002
        tool_call_id: str | None,  # noqa: ARG002
    ) -> NoReturn:
        # Before anything is made of the input, which may not fit.
        _refuse(self.name, self.context)

    def _run(self, *_: Any, **__: Any) -> NoReturn:
        _refuse(self.name, self.context)

    def _filter_injected_args(self, tool_input: dict[str, Any]) -> dict[str, Any]:
        # The state of a graph is nothing to tell, whatever becomes of the call.
        return self.refused._filter_injected_args(tool_input)


def _stand_in(tool: BaseTool, options: dict[str, Any]) -> _StandIn:
    # A call by a model gets an answer that the model can go on with; other code gets what the tool's author chose.
    answers = True if options.get("tool_call_id") is not None else tool.handle_tool_error
    return _StandIn(
        name=tool.name,
        description=tool.description,
        callbacks=tool.callbacks,
        tags=tool.tags,
        metadata=tool.metadata,
        handle_tool_error=answers,
        refused=tool,
        context=get_current_context(),
    )


def _refuse(name: str, context: StreamContext | None) -> NoReturn:
    if context is None:
        logger.warning("tool call refused", extra={"tool": name})
        raise ToolRefusedError(name)
    try:
        context.guard_tool(name)
    except ToolNotAllowedError as error:
        # A run that is over must not go on with an answer to its model.
        if context.outbox is not None:
            context.outbox.check()
        raise ToolRefusedError(name) from error
    raise AssertionError(f"the tool {name} may run")
