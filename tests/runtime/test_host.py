"""The agent of an app: how it is loaded, drained and closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dockrion.adapters.callables import CallableAgent
from dockrion.runtime.host import AgentHost
from dockrion.spec import DockSpec

SECONDS = 5


def host_for(agent: Any, **sections: Any) -> AgentHost:
    spec = DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "test", "handler": "in_memory:handler"},
            "io_schema": {},
            "expose": {},
            **sections,
        }
    )
    return AgentHost(spec, agent)


async def hang(payload: Any) -> None:
    await asyncio.Event().wait()


async def test_what_was_drained_is_not_drained_again_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = host_for(CallableAgent(hang, name="in_memory:handler"))
    await host.loaded()
    assert host.runner is not None
    waits: list[float] = []
    may_end = asyncio.Event()

    async def shutdown(grace_seconds: float) -> None:
        waits.append(grace_seconds)
        await may_end.wait()

    monkeypatch.setattr(host.runner, "shutdown", shutdown)
    draining = asyncio.ensure_future(host.drain())
    closing = asyncio.ensure_future(host.close())
    await asyncio.wait({closing}, timeout=0.05)
    assert not closing.done()
    may_end.set()
    async with asyncio.timeout(SECONDS):
        await draining
        await closing
    assert waits == [30]
