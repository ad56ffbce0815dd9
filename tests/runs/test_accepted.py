"""Runs that come from the store."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest

from dockrion.adapters.callables import CallableAgent
from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.objects import ForeignAgent, ObjectAgent
from dockrion.adapters.shapes import Shapes
from dockrion.errors import ConflictError, OverloadedError
from dockrion.events.model import Complete, Failed, Started
from dockrion.runs.accepted import Accepted
from dockrion.runs.run import Run
from tests.runs.kit import next_batch, read_to_end, runner_for, runner_for_agent


async def done(payload: Any) -> Any:
    return {"payload": payload}


async def ends(run: Run) -> Any:
    with anyio.fail_after(5):
        while not (batch := await next_batch(run)).is_last:
            pass
    return batch.events[-1]


@pytest.mark.parametrize(
    ("attempt", "started"), [(1, Started("test", "custom")), (3, Started("test", "custom", 3))]
)
async def test_started_names_the_attempt_from_the_second_on(attempt: int, started: Started) -> None:
    run = runner_for(done).start({}, streams=True, accepted=Accepted(attempt=attempt))
    events = await read_to_end(run)
    assert events[0] == started


async def test_numbering_begins_where_the_store_says() -> None:
    run = runner_for(done).start({}, streams=True, accepted=Accepted(first=7, attempt=2))
    with anyio.fail_after(5):
        first = await next_batch(run)
        numbered = len(first.events)
        if not first.is_last:
            second = await next_batch(run)
            assert second.first == 7 + numbered
    assert first.first == 7


@pytest.mark.parametrize("in_thread", [False, True])
async def test_it_waits_for_its_turn_however_many_wait_already(in_thread: bool) -> None:
    gate = asyncio.Event()

    async def waits(payload: Any) -> Any:
        await gate.wait()
        return payload

    def hands_on(payload: Any) -> Any:
        return waits(payload)

    runner = runner_for(hands_on if in_thread else waits, max_concurrency=1, max_queue=0)
    running = runner.start({"n": 0}, streams=True)
    with pytest.raises(OverloadedError):
        runner.start({"n": 1}, streams=True)
    waiting = [runner.start({"n": n}, streams=True, accepted=Accepted()) for n in range(2, 4)]
    assert runner.waiting == 2
    gate.set()
    outputs = [(await ends(run)).output for run in (running, *waiting)]
    assert outputs == [{"n": 0}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("in_thread", [False, True])
async def test_those_that_nobody_waits_for_take_no_place_of_the_queue(in_thread: bool) -> None:
    gate = threading.Event()

    async def waits(payload: Any) -> Any:
        while not gate.is_set():
            await asyncio.sleep(0)
        return {"n": payload}

    def waits_in_thread(payload: Any) -> Any:
        gate.wait()
        return {"n": payload}

    runner = (
        runner_for(waits_in_thread, threads=1, max_queue=2)
        if in_thread
        else runner_for(waits, max_concurrency=1, max_queue=2)
    )
    runs = [runner.start(0, streams=True)]
    runs += [runner.start(n, streams=True, accepted=Accepted()) for n in range(1, 4)]
    runs += [runner.start(4, streams=True)]
    runs += [runner.start(5, streams=True, accepted=Accepted(direct=True))]
    assert runner.waiting == 5
    with pytest.raises(OverloadedError, match=r"^2 runs wait"):
        runner.start(6, streams=True)
    gate.set()
    assert [(await ends(run)).output["n"] for run in runs] == [*range(6)]


async def test_only_a_run_that_goes_on_here_takes_its_id() -> None:
    runner = runner_for(done)
    run = runner.start({}, run_id="stored", streams=True, accepted=Accepted())
    with pytest.raises(ConflictError):
        runner.start({}, run_id="stored", streams=True, accepted=Accepted())
    assert isinstance(await ends(run), Complete)


class Invoked:
    def invoke(self, payload: Any) -> Any:
        raise AssertionError("it is not to be called")

    def load(self, path: str) -> None: ...

    def get_metadata(self) -> dict[str, Any]:
        return {}


def agents() -> list[Any]:
    from langchain_core.runnables import RunnableLambda

    target = Invoked()
    return [
        CallableAgent(target.invoke, name="kit:sync"),
        CallableAgent(done, name="kit:async"),
        ObjectAgent(target, name="kit:object"),
        ForeignAgent(target, framework="foreign"),
        RunnableAgent(RunnableLambda(target.invoke), name="kit:runnable", shapes=Shapes()),
    ]


@pytest.mark.parametrize("agent", agents(), ids=lambda agent: type(agent).__name__)
async def test_what_cannot_go_on_after_its_end_says_so(agent: Any) -> None:
    run = runner_for_agent(agent).start({}, streams=True, accepted=Accepted(answers={"id": 1}))
    failed = await ends(run)
    assert isinstance(failed, Failed)
    assert failed.code == "AGENT_EXECUTION_ERROR"
    assert "only LangGraph graphs can be resumed" in failed.error
