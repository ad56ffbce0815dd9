"""What every loaded agent must do; one suite, all implementations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import anyio
import pytest

from dockrion.adapters.base import Agent
from dockrion.adapters.callables import CallableAgent
from dockrion.adapters.objects import ForeignAgent, ObjectAgent
from dockrion.events.model import Complete, Started
from dockrion.runs.ending import CALLER_LEFT
from dockrion.testing import ScriptedAgent
from tests.runs.kit import next_batch, read_to_end, runner_for_agent, tokens


async def async_generator(payload: Any) -> AsyncGenerator[Any]:
    yield "a"
    yield {"got": payload}


def generator(payload: Any) -> Generator[Any]:
    yield "a"
    yield {"got": payload}


async def async_function(payload: Any, context: Any) -> Any:
    await context.emit_token("a")
    return {"got": payload}


def function(payload: Any, context: Any) -> Any:
    context.sync_emit_token("a")
    return {"got": payload}


class Streaming:
    def invoke(self, payload: Any) -> Any:
        return {"got": payload}

    def stream(self, payload: Any) -> Any:
        return generator(payload)


class AsyncStreaming:
    async def ainvoke(self, payload: Any) -> Any:
        return {"got": payload}

    def invoke(self, payload: Any) -> Any:
        raise AssertionError

    async def astream(self, payload: Any) -> AsyncGenerator[Any]:
        async for item in async_generator(payload):
            yield item


class Adapter:
    def load(self, path: str) -> None: ...

    def get_metadata(self) -> dict[str, Any]:
        return {}

    def invoke(self, payload: Any) -> Any:
        return {"got": payload}

    def invoke_stream(self, payload: Any, *, context: Any, events_filter: Any) -> Any:
        return generator(payload)


class GatingAdapter(Adapter):
    gates_tools = True


AGENTS: dict[str, Callable[[], Agent]] = {
    "async generator": lambda: CallableAgent(async_generator, name="m:f"),
    "generator": lambda: CallableAgent(generator, name="m:f"),
    "async function": lambda: CallableAgent(async_function, name="m:f"),
    "function": lambda: CallableAgent(function, name="m:f"),
    "object": lambda: ObjectAgent(Streaming(), name="m:o"),
    "async object": lambda: ObjectAgent(AsyncStreaming(), name="m:o"),
    "foreign adapter": lambda: ForeignAgent(Adapter(), framework="other"),
    "gating foreign adapter": lambda: ForeignAgent(GatingAdapter(), framework="other"),
    "script": lambda: ScriptedAgent(["a", {"got": 1}]),
}
UNSEEN = {"object", "async object", "foreign adapter"}
every = pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)


@every
async def test_it_streams_its_token_and_gives_its_output(make: Callable[[], Agent]) -> None:
    with anyio.fail_after(5):
        events = await read_to_end(runner_for_agent(make()).start(1, streams=True))
    assert isinstance(events[0], Started)
    assert tokens(events) == ["a"]
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"got": 1}


@every
async def test_it_gives_the_same_output_where_nobody_streams(make: Callable[[], Agent]) -> None:
    with anyio.fail_after(5):
        events = await read_to_end(runner_for_agent(make()).start(1, streams=False))
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"got": 1}


@every
async def test_many_runs_at_once_do_not_meet(make: Callable[[], Agent]) -> None:
    runner = runner_for_agent(make())
    with anyio.fail_after(10):
        runs = [runner.start(1, streams=True) for _ in range(40)]
        for events in await asyncio.gather(*(read_to_end(run) for run in runs)):
            assert tokens(events) == ["a"]
    assert runner.active == 0


@every
async def test_a_stopped_run_is_over_at_once(make: Callable[[], Agent]) -> None:
    with anyio.fail_after(5):
        run = runner_for_agent(make()).start(1, streams=True)
        run.stop(CALLER_LEFT)
        while not (await next_batch(run)).is_last:
            pass
    assert run.context.cancelled


@pytest.mark.parametrize("name", AGENTS)
async def test_it_says_whether_tools_that_are_not_allowed_are_stopped(name: str) -> None:
    # Where nobody sees the tool calls, it must not say so; a handler asks for itself.
    assert AGENTS[name]().gates_tools is (name not in UNSEEN)


@every
async def test_it_describes_itself_and_closes(make: Callable[[], Agent]) -> None:
    agent = make()
    assert agent.describe()["type"]
    assert agent.framework
    await agent.close()
