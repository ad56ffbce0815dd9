"""How a run of an agent is started, what it runs on, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest

from dockrion.errors import ConflictError, PolicyViolationError, ShuttingDownError
from dockrion.events.context import StreamContext, get_current_context
from dockrion.events.model import Event, Failed, Started, Token
from dockrion.runs.ending import CALLER_LEFT
from tests.runs.kit import next_batch, output_of, read_to_end, run_events, runner_for, tokens


async def test_started_is_there_before_the_agent_does_anything() -> None:
    called = False

    async def agent(payload: Any) -> dict[str, bool]:
        nonlocal called
        called = True
        return {}

    run = runner_for(agent).start({}, streams=True)
    batch = await next_batch(run)
    assert batch.events == [Started("test", "custom")]
    assert not called
    await read_to_end_from(run, 1)


async def read_to_end_from(run: Any, first: int) -> None:
    while not (batch := await next_batch(run)).is_last:
        assert batch.first == first
        first += len(batch.events)


async def test_a_sync_generator_is_advanced_and_closed_on_one_thread() -> None:
    seen: list[int] = []
    closed = threading.Event()

    def agent(payload: Any) -> Generator[str]:
        try:
            while True:
                seen.append(threading.get_ident())
                yield "x"
        finally:
            seen.append(threading.get_ident())
            closed.set()

    run = runner_for(agent).start({}, streams=True)
    while len(seen) < 5000:
        await next_batch(run)
    run.stop(CALLER_LEFT)
    assert await asyncio.to_thread(closed.wait, 5)
    assert len(set(seen)) == 1
    assert seen[0] != threading.get_ident()


async def test_a_sync_handler_streams_while_it_runs() -> None:
    go_on = threading.Event()

    def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        context.sync_emit_token("first")
        assert go_on.wait(5)
        return {}

    run = runner_for(agent).start({}, streams=True)
    got: list[Event] = []
    while tokens(got) != ["first"]:
        got += (await next_batch(run)).events
    go_on.set()
    while not (await next_batch(run)).is_last:
        pass


async def test_the_current_context_reaches_tasks_threads_and_bound_functions() -> None:
    async def agent(payload: Any) -> dict[str, bool]:
        mine = get_current_context()
        assert mine is not None
        found: list[StreamContext | None] = [
            await asyncio.ensure_future(current()),
            await asyncio.to_thread(get_current_context),
        ]
        thread = threading.Thread(target=mine.bind(lambda: found.append(get_current_context())))
        thread.start()
        thread.join()
        return {"same": all(context is mine for context in found)}

    async def current() -> StreamContext | None:
        return get_current_context()

    assert await output_of(agent) == {"same": True}
    assert get_current_context() is None


async def test_a_sync_handler_has_the_current_context() -> None:
    def agent(payload: Any, context: StreamContext) -> dict[str, bool]:
        return {"same": get_current_context() is context}

    assert await output_of(agent) == {"same": True}


async def test_a_policy_violation_of_a_handler_keeps_its_code() -> None:
    async def agent(payload: Any) -> None:
        raise PolicyViolationError("tool 'rm' is not allowed")

    last = (await run_events(agent))[-1]
    assert last == Failed("tool 'rm' is not allowed", "POLICY_VIOLATION")


async def test_an_id_that_runs_is_taken() -> None:
    async def agent(payload: Any) -> dict[str, Any]:
        return {}

    runner = runner_for(agent)
    run = runner.start({}, run_id="mine", streams=True)
    with pytest.raises(ConflictError, match="'mine'"):
        runner.start({}, run_id="mine", streams=True)
    await read_to_end(run)
    await read_to_end(runner.start({}, run_id="mine", streams=True))


async def test_nothing_starts_while_shutting_down() -> None:
    async def agent(payload: Any) -> dict[str, Any]:
        return {}

    runner = runner_for(agent)
    await runner.shutdown(1)
    with pytest.raises(ShuttingDownError):
        runner.start({}, streams=True)


async def test_a_sync_run_past_the_threads_queues_and_starts_when_its_turn_comes() -> None:
    release = threading.Event()

    def agent(payload: Any) -> dict[str, Any]:
        assert release.wait(5)
        return {}

    runner = runner_for(agent, threads=1)
    first, second = (runner.start({}, streams=True) for _ in range(2))
    assert isinstance((await next_batch(first)).events[0], Started)
    waiting = asyncio.ensure_future(second.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    release.set()
    batch = await waiting
    assert batch is not None
    assert isinstance(batch.events[0], Started)
    run_ends = [first]
    if not batch.is_last:
        run_ends.append(second)
    for run in run_ends:
        while not (await next_batch(run)).is_last:
            pass


async def test_nothing_of_a_run_is_kept_after_its_end() -> None:
    class Payload(dict[str, Any]):
        pass

    def sync_agent(payload: Any) -> dict[str, Any]:
        return {}

    async def agent(payload: Any) -> dict[str, Any]:
        return {}

    for handler in (agent, sync_agent):
        runner = runner_for(handler)
        payload = Payload()
        gone = weakref.ref(payload)
        run = runner.start(payload, streams=True)
        del payload
        await read_to_end(run)
        del run
        for _ in range(100):
            gc.collect()
            if gone() is None:
                break
            await asyncio.sleep(0.01)
        assert gone() is None, handler.__name__


async def _goes_on(payload: Any) -> AsyncGenerator[str]:
    yield "first"
    await asyncio.sleep(60)


async def _raises(payload: Any) -> AsyncGenerator[str]:
    yield "first"
    raise RuntimeError


def _raises_in_its_thread(payload: Any) -> Generator[str]:
    yield "first"
    raise RuntimeError


@pytest.mark.parametrize("handler", [_goes_on, _raises, _raises_in_its_thread])
async def test_a_run_that_broke_off_needs_no_collector_to_go(
    handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Payload(dict[str, Any]):
        pass

    # What is captured has the traceback.
    caplog.set_level("CRITICAL", logger="dockrion.runs.sentence")
    gc.collect()
    gc.disable()
    try:
        payload = Payload()
        gone = weakref.ref(payload)
        run = runner_for(handler).start(payload, streams=True)
        del payload
        seen: list[Event] = []
        while not any(isinstance(event, Token) for event in seen):
            seen += (await next_batch(run)).events
        if handler is _goes_on:
            run.caller_left()
        if not isinstance(seen[-1], Failed):
            await read_to_end_from(run, 0)
        del run, seen
        with anyio.fail_after(5):
            while gone() is not None:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


def _progress_for_ever(payload: Any, stopped: threading.Event) -> Generator[Any]:
    try:
        while True:
            yield payload
    finally:
        stopped.set()


@pytest.mark.parametrize(
    "item", [{"type": "progress", "step": "s", "progress": 0.5}, None, {"answer": 1}]
)
async def test_a_generator_of_what_is_not_sent_stops_as_well(item: Any) -> None:
    stopped = threading.Event()

    def agent(payload: Any) -> Generator[Any]:
        return _progress_for_ever(item, stopped)

    run = runner_for(agent, allowed="chat").start({}, streams=True)
    await next_batch(run)
    run.stop(CALLER_LEFT)
    assert await asyncio.to_thread(stopped.wait, 5)
    run.leave()


async def test_heartbeats_stop_a_left_agent_and_give_the_loop_its_turns() -> None:
    turns = 0

    async def agent(payload: Any, context: StreamContext) -> None:
        while True:
            await context.emit_heartbeat()

    run = runner_for(agent, allowed="chat").start({}, streams=True)
    with anyio.fail_after(5):
        await next_batch(run)
        for _ in range(3):
            await asyncio.sleep(0)
            turns += 1
        run.stop(CALLER_LEFT)
        assert (await next_batch(run)).is_last
    assert turns == 3


@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_output_whose_conversion_exits_is_an_error_of_the_agent(in_thread: bool) -> None:
    class Exits:
        def __str__(self) -> str:
            raise SystemExit(1)

    async def on_loop(payload: Any) -> Any:
        return {"a": Exits()}

    def in_a_thread(payload: Any) -> Any:
        return {"a": Exits()}

    last = (await run_events(in_a_thread if in_thread else on_loop))[-1]
    assert isinstance(last, Failed)
    assert last.code == "AGENT_EXECUTION_ERROR"


async def test_the_output_of_a_sync_agent_is_made_in_its_thread() -> None:
    converted_in: list[int] = []

    class Slow:
        def __str__(self) -> str:
            converted_in.append(threading.get_ident())
            return "text"

    def agent(payload: Any) -> Any:
        return {"thread": threading.get_ident(), "slow": Slow()}

    output = await output_of(agent)
    assert converted_in == [output["thread"]]
    assert output["thread"] != threading.get_ident()
