"""Agents for tests: a handler or a script, behind the real app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any

from fastapi import FastAPI

from dockrion.adapters.base import Agent
from dockrion.adapters.callables import CallableAgent
from dockrion.events.context import StreamContext
from dockrion.runtime.app import build_app
from dockrion.spec import DockSpec


class ScriptedAgent:
    """An agent that plays a script, step by step.

    A `str` or mapping is yielded as a generator agent yields it; an `asyncio.Event` is waited for; an
    exception is raised; a callable gets the context (and is awaited when it gives a coroutine). `payloads`
    are those it was called with; `running` is how many scripts run now; `stopped` is set once one has ended, however it did.
    """

    framework = "custom"
    in_thread = False
    gates_tools = True

    def __init__(self, script: Iterable[Any] = ()) -> None:
        self.script = list(script)
        self.payloads: list[Any] = []
        self.running = 0
        self.stopped = asyncio.Event()

    async def _play(self, context: StreamContext) -> AsyncGenerator[Any]:
        self.running += 1
        try:
            for step in self.script:
                match step:
                    case asyncio.Event():
                        await step.wait()
                    case BaseException():
                        raise step
                    case str() | Mapping():
                        yield step
                    case _:
                        result = step(context)
                        if asyncio.iscoroutine(result):
                            await result
        finally:
            self.running -= 1
            self.stopped.set()

    def call(self, payload: Any, context: StreamContext, *, streams: bool) -> Any:  # noqa: ARG002
        self.payloads.append(payload)
        return self._play(context)

    def describe(self) -> dict[str, Any]:
        return {"type": "script", "steps": len(self.script)}

    async def close(self) -> None:
        return


def app_for(agent: Agent | Callable[..., Any], /, **sections: Any) -> FastAPI:
    """Return the real app around a handler function or an `Agent`; `sections` are those of the Dockfile."""
    spec = DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "test", "handler": "in_memory:handler"},
            "io_schema": {},
            "expose": {},
            **sections,
        }
    )
    if hasattr(agent, "call") and hasattr(agent, "describe"):
        return build_app(spec, agent)  # pyright: ignore[reportArgumentType]
    assert callable(agent)
    return build_app(spec, CallableAgent(agent, name="in_memory:handler"))
