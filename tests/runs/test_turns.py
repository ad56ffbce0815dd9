"""Limits on how many runs are at work at once."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.errors import OverloadedError
from dockrion.events.model import Started
from dockrion.runs.ending import CALLER_LEFT
from dockrion.testing import ScriptedAgent, app_for, post, running
from tests.runs.kit import next_batch, read_to_end, runner_for, runner_for_agent


async def test_runs_past_the_limit_wait_in_order_and_start_when_it_is_their_turn() -> None:
    gates = [asyncio.Event() for _ in range(4)]
    order: list[int] = []

    async def agent(payload: Any) -> dict[str, Any]:
        order.append(payload)
        await gates[payload].wait()
        return {}

    runner = runner_for(agent, max_concurrency=2)
    runs = [runner.start(number, streams=True) for number in range(4)]
    with anyio.fail_after(5):
        for run in runs[:2]:
            assert isinstance((await next_batch(run)).events[0], Started)
        third = asyncio.ensure_future(runs[2].next())
        for _ in range(10):
            await asyncio.sleep(0)
        assert order == [0, 1]
        assert not third.done()
        assert runner.waiting == 2
        gates[1].set()
        assert (await next_batch(runs[1])).is_last
        first = await third
        assert first is not None
        assert isinstance(first.events[0], Started)
        for gate in gates:
            gate.set()
        for run in (runs[0], runs[2], runs[3]):
            while not (await next_batch(run)).is_last:
                pass
    assert order == [0, 1, 2, 3]
    assert (runner.active, runner.waiting) == (0, 0)


async def test_the_deadline_of_a_waiting_run_has_not_begun() -> None:
    gate = asyncio.Event()

    async def agent(payload: Any) -> dict[str, Any]:
        await gate.wait()
        return {}

    runner = runner_for(agent, max_concurrency=1, max_seconds=0.05)
    with anyio.fail_after(5):
        first, second = (runner.start({}, streams=True) for _ in range(2))
        reading = asyncio.ensure_future(read_to_end(second))
        assert type((await read_to_end(first))[-1]).__name__ == "Failed"
        gate.set()
        assert type((await reading)[-1]).__name__ == "Complete"


async def test_a_waiting_run_whose_caller_leaves_never_starts_and_frees_its_place() -> None:
    agent = ScriptedAgent([asyncio.Event()])
    runner = runner_for_agent(agent, max_concurrency=1, max_queue=1)
    with anyio.fail_after(5):
        first = runner.start(1, streams=True)
        second = runner.start(2, streams=True)
        second.stop(CALLER_LEFT)
        assert (await next_batch(second)).is_last
        third = runner.start(3, streams=True)
        first.stop(CALLER_LEFT)
        while not (await next_batch(first)).is_last:
            pass
        assert isinstance((await next_batch(third)).events[0], Started)
        for _ in range(10):
            await asyncio.sleep(0)
        third.leave()
    assert agent.payloads == [1, 3] or agent.payloads == [3]


async def test_past_the_queue_a_run_is_refused() -> None:
    runner = runner_for_agent(ScriptedAgent([asyncio.Event()]), max_concurrency=1, max_queue=1)
    runs = [runner.start({}, streams=True) for _ in range(2)]
    with pytest.raises(OverloadedError, match="max_queue"):
        runner.start({}, streams=True)
    for run in runs:
        run.leave()
    runner.start({}, streams=True).leave()


async def test_over_http_a_waiting_stream_opens_and_the_next_is_503_with_retry_after() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent([gate, "a"])
    app = app_for(agent, expose={"limits": {"max_concurrency": 1, "max_queue": 1}})
    with anyio.fail_after(5):
        async with (
            running(app) as live,
            post(live, "/invoke/stream", {}) as first,
            post(live, "/invoke/stream", {}) as second,
        ):
            assert b"started" in await first.receive()
            await second.head()
            async with post(live, "/invoke/stream", {}) as third:
                answer = await third.json()
            gate.set()
            await first.read()
            events = [event.event async for event in second.events()]
    assert second.status == 200
    assert events == ["started", "token", "complete"]
    assert (third.status, answer["code"]) == (503, "OVERLOADED")
    assert third.headers["retry-after"]


async def test_stopping_everything_ends_waiting_runs_too_and_harms_nobody() -> None:
    runner = runner_for_agent(ScriptedAgent([asyncio.Event()]), max_concurrency=2)
    runs = [runner.start(number, streams=True) for number in range(5)]
    with anyio.fail_after(5):
        reading = [asyncio.ensure_future(read_to_end(run)) for run in runs]
        await asyncio.sleep(0)
        runner.stop_all()
        endings = [(await events)[-1] for events in reading]
    assert [type(ending).__name__ for ending in endings] == ["Failed"] * 5
    assert (runner.active, runner.waiting) == (0, 0)
