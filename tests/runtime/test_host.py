"""The agent of an app: how it is loaded, drained and closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dockrion.adapters.callables import CallableAgent
from dockrion.backends.base import BackendError
from dockrion.errors import ServiceUnavailableError
from dockrion.runtime import host as hosts
from dockrion.runtime.backends.memory import MemoryBackend
from dockrion.runtime.backends.opening import OpeningBackend
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

    async def shutdown(grace_seconds: float, **_: object) -> None:
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


class Closing:
    """An agent whose close does what the test says."""

    framework = "custom"
    in_thread = False
    gates_tools = True

    def __init__(self, close: Callable[[], Awaitable[object]]) -> None:
        self._close = close

    def call(self, payload: Any, context: Any, *, streams: bool) -> Any:
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        await self._close()


async def closed(close: Callable[[], Awaitable[object]]) -> None:
    host = host_for(Closing(close))
    async with asyncio.timeout(SECONDS):
        assert await host.loaded()
        await host.close()
    assert host.runner is None


async def test_an_agent_that_does_not_close_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hosts, "CLOSING_SECONDS", 0.01)
    released = asyncio.Event()

    async def swallow_cancellation() -> None:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    await closed(swallow_cancellation)
    released.set()
    assert "agent does not close" in caplog.text


@pytest.mark.parametrize("raised", [ValueError("disk is full"), SystemExit(3), KeyboardInterrupt()])
async def test_what_closing_the_agent_raises_is_logged_and_ends_nothing(
    raised: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise raised

    await closed(fail)
    assert "agent failed to close" in caplog.text
    assert type(raised).__name__ in caplog.text


@pytest.mark.parametrize(
    "raised", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()]
)
async def test_whatever_an_agent_raises_when_it_is_loaded_it_has_failed_to(
    raised: BaseException,
) -> None:
    class Broken(Closing):
        def describe(self) -> dict[str, Any]:
            raise raised

    host = host_for(Broken(asyncio.Event().wait))
    async with asyncio.timeout(SECONDS):
        assert not await host.loaded()
    assert host.state == "failed"
    assert type(raised).__name__ in str(host.agent_error)
    await host.close()


async def test_callers_are_not_told_where_a_backend_is_that_cannot_be_used() -> None:
    class Away(MemoryBackend):
        async def open(self) -> None:
            raise BackendError("streaming.redis.url: It should be at db.internal:6379.")

    backend = OpeningBackend(Away())
    agent = CallableAgent(hang, name="in_memory:handler")
    host = AgentHost(host_for(agent).spec, agent, backend=backend)
    assert not await host.loaded()
    assert host.agent_error == "The server's backend cannot be used."
    assert "db.internal" in str(host.load_error)
    with pytest.raises(ServiceUnavailableError) as refused:
        await backend.is_open()
    assert "db.internal" not in refused.value.message
    await host.close()
