"""What waiting for an answer costs a run: no time, no turn, and no shutdown."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import pytest

from dockrion.events.context import StreamContext
from dockrion.events.model import (
    Cancelled,
    Checkpoint,
    Complete,
    Failed,
    Interrupt,
    Interrupted,
    Outcome,
)
from dockrion.runs.observer import Unobserved
from tests.runs.asking import answers_by_value, asks, to_the_end, until_it_asks
from tests.runs.kit import runner_for


async def test_waiting_is_not_run_time_and_what_was_left_counts_on() -> None:
    # As long as it takes: what is awaited is the end, which never comes before the answers.
    async def agent(payload: Any, context: StreamContext) -> Any:
        first = await context.ask("first?")
        second = await context.ask("second?")
        await context.checkpoint(first + second)
        await asyncio.Event().wait()

    run = runner_for(agent, max_seconds=0.3).start({}, streams=True)
    for _ in range(2):
        await until_it_asks(run)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.35):
                await run.next()
        run.answer(answers_by_value(run, str))
    began = asyncio.get_running_loop().time()
    events = await to_the_end(run)
    assert asyncio.get_running_loop().time() - began < 2
    assert events[-2:] == [
        Checkpoint("first?second?", None),
        Failed("The run took longer than 0.3 s.", "TIMEOUT"),
    ]


async def test_waiting_is_not_in_the_latency() -> None:
    began = monotonic()
    run = runner_for(asks).start({}, streams=True)
    await until_it_asks(run)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await run.next()
    run.answer(answers_by_value(run, str))
    last = (await to_the_end(run))[-1]
    assert isinstance(last, Complete)
    assert last.latency_seconds < monotonic() - began - 0.19


async def test_a_run_that_waits_gives_its_turn_to_another_and_goes_on_without_one() -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        return {"answer": await context.ask(payload)}

    runner = runner_for(agent, max_concurrency=1)
    first = runner.start("first", streams=True)
    second = runner.start("second", streams=True)
    assert runner.waiting == 1
    await until_it_asks(first)
    await until_it_asks(second)
    assert (runner.waiting, runner.active) == (0, 2)

    third = runner.start("third", streams=True)
    await until_it_asks(third)
    for run in (first, second, third):
        run.answer(answers_by_value(run, str.upper))
    outputs = [(await to_the_end(run))[-1] for run in (first, second, third)]
    assert [getattr(one, "output", one) for one in outputs] == [
        {"answer": "FIRST"},
        {"answer": "SECOND"},
        {"answer": "THIRD"},
    ]
    assert (runner.waiting, runner.active) == (0, 0)


async def test_a_shutdown_ends_a_run_that_waits() -> None:
    runner = runner_for(asks)
    run = runner.start({}, streams=True)
    await until_it_asks(run)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.shutdown(0))
        last = (await to_the_end(run))[-1]
    assert isinstance(last, Failed)
    assert last.code == "SHUTTING_DOWN"


async def test_a_run_that_asks_during_a_shutdown_does_not_hold_it_up() -> None:
    go_on = asyncio.Event()

    async def handle(payload: Any, context: StreamContext) -> Any:
        await go_on.wait()
        return await context.ask("?")

    runner = runner_for(handle)
    run = runner.start({}, streams=True)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.shutdown(60))
        await asyncio.sleep(0)
        go_on.set()
        events = await to_the_end(run)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "SHUTTING_DOWN"
    assert not any(isinstance(event, Interrupt) for event in events)


class Outcomes(Unobserved):
    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    def ended(self, outcome: Outcome) -> None:
        self.seen.append(outcome)


async def test_a_wait_is_an_outcome_until_the_answer() -> None:
    observer = Outcomes()
    run = runner_for(asks, observer=observer).start({}, streams=True)
    await until_it_asks(run)
    assert run.outcome == Interrupted(run.questions)
    run.answer(answers_by_value(run, str))
    assert run.outcome is None
    await to_the_end(run)
    assert [type(one) for one in observer.seen] == [Interrupted, Complete]
    assert run.outcome is observer.seen[-1]


async def test_how_a_run_ends_that_is_stopped_while_it_waits_is_known_with_its_last_batch() -> None:
    run = runner_for(asks).start({}, streams=True)
    await until_it_asks(run)
    run.stop(Cancelled("no more"))
    assert run.outcome is None
    await to_the_end(run)
    assert run.outcome == Cancelled("no more")


async def test_a_run_that_is_left_while_it_waits_ended_with_its_question() -> None:
    observer = Outcomes()
    runner = runner_for(asks, observer=observer)
    run = runner.start({}, streams=True)
    await until_it_asks(run)
    run.leave()
    assert observer.seen == [run.outcome]
    assert isinstance(run.outcome, Interrupted)
    assert runner.active == 0
