"""Plain Python agents: functions and generators, sync and async."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

from dockrion.adapters.base import refuse_answers
from dockrion.errors import InvalidAgentError
from dockrion.events.context import StreamContext


class CallableAgent:
    """A handler, called for each request with the payload, and with the context when it asks for it.

    It asks by a parameter named `context` or annotated `StreamContext`. Which tools it may call, it asks the context.
    """

    gates_tools = True

    def __init__(
        self, function: Callable[..., Any], *, name: str, framework: str = "custom"
    ) -> None:
        if not callable(function) or inspect.isclass(function):
            hint = ""
            if hasattr(function, "invoke"):
                hint = f"; an object with `.invoke` is an entrypoint: `entrypoint: {name}`, `framework: custom`"
            raise InvalidAgentError(
                f"agent.handler: {name} must be a function, got {_kind(function)}{hint}"
            )
        self.framework = framework
        self.in_thread = not is_async_callable(function)
        self._name = name
        self._function = function
        self._context_keyword, self._context_position = _context_parameter(function, name)

    def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:  # noqa: ARG002
        refuse_answers(payload)
        if self._context_keyword is not None:
            return self._function(payload, **{self._context_keyword: context})
        if self._context_position:
            return self._function(payload, context)
        return self._function(payload)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "handler",
            "handler": self._name,
            "async": not self.in_thread,
            "streaming": True,
        }

    async def close(self) -> None:
        return


def is_async_callable(function: Any) -> bool:
    """Whether a call gives an awaitable or an async iterator, looking through partials, wrappers and `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    candidates = [function]
    if not inspect.isroutine(function):
        candidates.append(getattr(function, "__call__", None))  # noqa: B004
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in candidates
    )


def accepts(function: Any, keyword: str) -> bool:
    """Whether `function` can be called with `keyword=`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD
        or (
            parameter.name == keyword
            and parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        )
        for parameter in parameters
    )


def _context_parameter(function: Any, name: str) -> tuple[str | None, bool]:
    """Return the keyword that takes the context, or whether it is the second positional-only parameter."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None, False
    parameters = list(signature.parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not positional and not takes_any:
        raise InvalidAgentError(
            f"agent.handler: {name} must take the payload as its first parameter"
        )
    context = next((p for p in parameters[1:] if _is_context(p)), None)
    for parameter in parameters:
        required = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if required and parameter is not context and parameter is not parameters[0]:
            raise InvalidAgentError(
                f"agent.handler: {name} has a required parameter {parameter.name!r}; "
                "a handler takes the payload and, if it likes, `context`"
            )
    if context is None:
        return None, False
    if context.kind is context.POSITIONAL_ONLY:
        return None, True
    return context.name, False


def _is_context(parameter: inspect.Parameter) -> bool:
    if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return False
    annotation = parameter.annotation
    if isinstance(annotation, str):
        # `from __future__ import annotations` leaves text: "StreamContext", "dockrion.StreamContext | None", ...
        annotated = re.search(r"\bStreamContext\b", annotation) is not None
    else:
        annotated = annotation is StreamContext or StreamContext in getattr(
            annotation, "__args__", ()
        )
    return parameter.name == "context" or annotated


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    return f"an object of {type(value).__name__}"
