"""Agents that are objects with `.invoke`: a custom entrypoint, or an adapter of another package."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from dockrion.adapters.base import refuse_answers
from dockrion.adapters.callables import accepts, is_async_callable
from dockrion.errors import InvalidAgentError
from dockrion.events.context import StreamContext

Closer = Callable[[], Awaitable[object]]


class ObjectAgent:
    """An object that is invoked: `.ainvoke` or `.invoke` once; `.astream` or `.stream` when it has one.

    `config` is handed over where a method takes it. What tools it calls, nobody sees.
    """

    gates_tools = False

    def __init__(
        self,
        target: Any,
        *,
        name: str,
        framework: str = "custom",
        closer: Closer | None = None,
    ) -> None:
        invoke = _method(target, "ainvoke") or _method(target, "invoke")
        if invoke is None:
            raise InvalidAgentError(
                f"agent.entrypoint: {name} gives an object of {type(target).__name__} without `.invoke(payload)`"
            )
        self.framework = framework
        self._target = target
        self._name = name
        self._closer = closer
        self._invoke = invoke
        self._stream = _method(target, "astream") or _method(target, "stream")
        self._invoke_config = accepts(invoke, "config")
        self._stream_config = self._stream is not None and accepts(self._stream, "config")
        # Either may be the one that is called; a thread can drive both kinds, the loop only the async one.
        used = [invoke, self._stream] if self._stream is not None else [invoke]
        self.in_thread = not all(is_async_callable(method) for method in used)

    def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:
        refuse_answers(payload)
        method, takes_config = self._invoke, self._invoke_config
        if streams and self._stream is not None:
            method, takes_config = self._stream, self._stream_config
        if takes_config:
            return method(payload, config=run_config(context))
        return method(payload)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "entrypoint",
            "entrypoint": self._name,
            "class": type(self._target).__name__,
            "async": not self.in_thread,
            "streaming": self._stream is not None,
        }

    async def close(self) -> None:
        if self._closer is not None:
            await self._closer()


class ForeignAgent:
    """An adapter of another package, as the runner sees it."""

    def __init__(self, adapter: Any, *, framework: str) -> None:
        self.framework = framework
        self.gates_tools = getattr(adapter, "gates_tools", False) is True
        self._adapter = adapter
        self._stream = _method(adapter, "invoke_stream")
        self._invoke = _method(adapter, "ainvoke") or adapter.invoke
        used = [self._invoke] if self._stream is None else [self._invoke, self._stream]
        self.in_thread = not all(is_async_callable(method) for method in used)
        self._invoke_config = accepts(self._invoke, "config")
        self._stream_config = self._stream is not None and accepts(self._stream, "config")

    def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:
        refuse_answers(payload)
        if streams and self._stream is not None:
            options: dict[str, Any] = {"context": context, "events_filter": context.events_filter}
            if self._stream_config:
                options["config"] = run_config(context)
            return self._stream(payload, **options)
        if self._invoke_config:
            return self._invoke(payload, config=run_config(context))
        return self._invoke(payload)

    def describe(self) -> dict[str, Any]:
        return {
            "type": "adapter",
            "adapter": type(self._adapter).__name__,
            "streaming": self._stream is not None,
            **dict(self._adapter.get_metadata() or {}),
        }

    async def close(self) -> None:
        close = _method(self._adapter, "close")
        if close is None:
            return
        # One that is not async may block.
        closed = close() if is_async_callable(close) else await asyncio.to_thread(close)
        if inspect.isawaitable(closed):
            await closed


def run_config(context: StreamContext) -> dict[str, Any]:
    """The `config` of the LangChain family: the conversation thread and the run."""
    return {"configurable": {"thread_id": context.thread_id, "run_id": context.run_id}}


def _method(target: Any, name: str) -> Callable[..., Any] | None:
    method = getattr(target, name, None)
    return method if callable(method) else None
