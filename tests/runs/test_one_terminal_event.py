"""The law of the runner: exactly one terminal event, last, whatever the agent does and whenever its caller leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import anyio
import pytest

from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.model import Cancelled, Complete, Event, Failed, Started
from dockrion.runs.ending import CALLER_LEFT
from tests.runs.kit import next_batch, read_to_end, runner_for

Handler = Callable[..., Any]
# Set at the end of each test, so that no blocked thread outlives it.
release = threading.Event()


async def returns(payload: Any) -> dict[str, int]:
    return {"a": 1}


def sync_returns(payload: Any) -> dict[str, int]:
    return {"a": 1}


async def yields(payload: Any) -> AsyncGenerator[Any]:
    yield "a"
    yield "b"


def sync_yields(payload: Any) -> Generator[str, None, dict[str, int]]:
    yield "a"
    yield "b"
    return {"a": 1}


async def raises(payload: Any, context: StreamContext) -> None:
    await context.emit_token("a")
    raise ValueError("no")


def sync_raises(payload: Any, context: StreamContext) -> None:
    context.sync_emit_token("a")
    raise ValueError("no")


async def exits(payload: Any) -> None:
    raise SystemExit(3)


def sync_exits(payload: Any) -> None:
    raise SystemExit(3)


async def interrupts_itself(payload: Any) -> None:
    raise KeyboardInterrupt


async def cancels_itself(payload: Any) -> None:
    raise asyncio.CancelledError


async def raises_run_cancelled(payload: Any) -> None:
    raise RunCancelled("mine")


async def waits_for_ever(payload: Any, context: StreamContext) -> None:
    await context.emit_token("a")
    await asyncio.Event().wait()


async def never_yields(payload: Any) -> AsyncGenerator[Any]:
    await asyncio.Event().wait()
    yield "a"


async def yields_nothing(payload: Any) -> AsyncGenerator[Any]:
    for item in ():
        yield item


def sync_blocks(payload: Any, context: StreamContext) -> dict[str, int]:
    context.sync_emit_token("a")
    release.wait()
    return {"a": 1}


def sync_blocks_in_generator(payload: Any) -> Generator[str]:
    yield "a"
    release.wait()
    yield "b"


async def ignores_cancel(payload: Any, context: StreamContext) -> dict[str, int]:
    await context.emit_token("a")
    while not release.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return {"a": 1}


async def ignores_cancel_and_goes_on(payload: Any, context: StreamContext) -> dict[str, int]:
    try:
        await context.emit_token("a")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await context.emit_token("too late")
    return {"a": 1}


async def emits_after_its_end(payload: Any, context: StreamContext) -> dict[str, int]:
    async def late() -> None:
        for _ in range(50):
            await context.emit_token("late")
            await asyncio.sleep(0)

    stragglers.append(asyncio.ensure_future(late()))
    return {"a": 1}


async def emits_from_many_threads(payload: Any, context: StreamContext) -> dict[str, int]:
    def work() -> None:
        for _ in range(40):
            context.sync_emit_token("t")

    await asyncio.gather(*(asyncio.to_thread(work) for _ in range(8)))
    return {"a": 1}


def leaves_a_thread_behind(payload: Any, context: StreamContext) -> dict[str, int]:
    def late() -> None:
        try:
            while not release.wait(0.001):
                context.sync_emit_token("late")
        except RunCancelled:
            pass

    threading.Thread(target=late, daemon=True).start()
    return {"a": 1}


async def closes_badly(payload: Any) -> AsyncGenerator[Any]:
    try:
        yield "a"
        await asyncio.Event().wait()
    finally:
        raise RuntimeError("on the way out")


def gives_a_coroutine(payload: Any) -> Any:
    return returns(payload)


def gives_an_async_generator(payload: Any) -> Any:
    return yields(payload)


async def gives_a_generator(payload: Any) -> Any:
    return sync_yields(payload)


HANDLERS: list[Handler] = [
    returns,
    sync_returns,
    yields,
    sync_yields,
    raises,
    sync_raises,
    exits,
    sync_exits,
    interrupts_itself,
    cancels_itself,
    raises_run_cancelled,
    waits_for_ever,
    never_yields,
    yields_nothing,
    sync_blocks,
    sync_blocks_in_generator,
    ignores_cancel,
    ignores_cancel_and_goes_on,
    emits_after_its_end,
    emits_from_many_threads,
    leaves_a_thread_behind,
    closes_badly,
    gives_a_coroutine,
    gives_an_async_generator,
    gives_a_generator,
]
ENDLESS = {
    waits_for_ever,
    never_yields,
    sync_blocks,
    sync_blocks_in_generator,
    ignores_cancel,
    ignores_cancel_and_goes_on,
    closes_badly,
}
FAILING = {
    raises,
    sync_raises,
    exits,
    sync_exits,
    interrupts_itself,
    cancels_itself,
    raises_run_cancelled,
    yields_nothing,
}
stragglers: list[asyncio.Future[None]] = []


@pytest.fixture(autouse=True)
async def let_go() -> AsyncGenerator[None]:
    release.clear()
    yield
    release.set()
    for straggler in stragglers:
        with pytest.raises(RunCancelled):
            await straggler
    stragglers.clear()


def check(events: list[Event], ending: type[Event]) -> None:
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], ending), events
    assert not any(isinstance(event, Complete | Failed | Cancelled) for event in events[:-1])
    assert sum(isinstance(event, Started) for event in events) == 1


@pytest.mark.parametrize("handler", [h for h in HANDLERS if h not in ENDLESS])
async def test_an_agent_that_ends_ends_its_run_once(handler: Handler) -> None:
    runner = runner_for(handler)
    with anyio.fail_after(10):
        events = await read_to_end(runner.start({}, streams=True))
    check(events, Failed if handler in FAILING else Complete)
    assert runner.active == 0


@pytest.mark.parametrize("point", ["at once", "after started", "after a turn"])
@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_run_that_is_stopped_ends_once_and_at_once(handler: Handler, point: str) -> None:
    runner = runner_for(handler)
    with anyio.fail_after(10):
        run = runner.start({}, streams=True)
        events: list[Event] = []
        if point != "at once":
            events += (await next_batch(run)).events
        if point == "after a turn":
            await asyncio.sleep(0)
        run.stop(CALLER_LEFT)
        while not events or not isinstance(events[-1], Complete | Failed | Cancelled):
            events += (await next_batch(run)).events
    # An agent may have ended before it was stopped: then that is what counts.
    if handler in ENDLESS or isinstance(events[-1], Cancelled):
        check(events, Cancelled)
    else:
        check(events, Failed if handler in FAILING else Complete)
    assert runner.active == 0


@pytest.mark.parametrize("handler", [h for h in HANDLERS if h in ENDLESS])
async def test_the_deadline_ends_a_run_that_does_not_end(handler: Handler) -> None:
    runner = runner_for(handler, max_seconds=0.02)
    with anyio.fail_after(10):
        events = await read_to_end(runner.start({}, streams=True))
    check(events, Failed)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "TIMEOUT"
    assert runner.active == 0


@pytest.mark.parametrize("handler", HANDLERS)
async def test_a_reader_who_leaves_in_the_middle_leaves_nothing_behind(handler: Handler) -> None:
    runner = runner_for(handler)
    with anyio.fail_after(10):
        run = runner.start({}, streams=True)
        await next_batch(run)
        run.leave()
    assert runner.active == 0
    assert run.context.cancelled


@pytest.mark.parametrize("handler", HANDLERS)
async def test_shutdown_ends_what_runs(handler: Handler) -> None:
    runner = runner_for(handler)
    with anyio.fail_after(10):
        run = runner.start({}, streams=True)
        reading = asyncio.ensure_future(read_to_end(run))
        await runner.shutdown(0 if handler in ENDLESS else 5)
        events = await reading
    if handler in ENDLESS:
        assert events[-1] == Failed("The server is shutting down.", "SHUTTING_DOWN")
    else:
        check(events, Failed if handler in FAILING else Complete)
