"""Worker threads: what becomes of a job when a thread cannot be started, is struck from outside, or was ended."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import pytest

from dockrion.errors import OverloadedError
from dockrion.events.model import Complete, Failed
from dockrion.runs.threads import WorkerThreads
from dockrion.testing import app_for, post, running
from tests.runs.kit import read_to_end, runner_for

SECONDS = 5


class System:
    """Lets threads be started, or not."""

    def __init__(self) -> None:
        self.allows = True


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    one = System()
    start = threading.Thread.start

    def start_if_allowed(thread: threading.Thread) -> None:
        if not one.allows and thread.name.startswith("dockrion-worker"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_allowed)
    return one


def agent(payload: Any) -> dict[str, Any]:
    return {"got": payload}


async def test_a_run_without_a_thread_is_refused_and_leaves_nothing(system: System) -> None:
    runner = runner_for(agent, max_concurrency=1)
    system.allows = False
    for _ in range(3):
        with pytest.raises(OverloadedError, match="another thread"):
            runner.start({}, streams=True)
    assert (runner.active, runner.waiting) == (0, 0)

    system.allows = True
    with anyio.fail_after(SECONDS):
        assert isinstance((await read_to_end(runner.start(1, streams=True)))[-1], Complete)


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_a_caller_whose_run_gets_no_thread_is_told_so_before_a_stream_opens(
    system: System, path: str
) -> None:
    async with running(app_for(agent)) as app:
        system.allows = False
        async with post(app, path, {}) as exchange:
            answer = await exchange.json()
        assert (exchange.status, answer["code"]) == (503, "OVERLOADED")
        assert "retry-after" in exchange.headers


async def test_a_run_that_waited_for_its_turn_ends_when_it_gets_no_thread(system: System) -> None:
    release = threading.Event()

    async def later(payload: Any) -> None:
        await asyncio.to_thread(release.wait, SECONDS)

    def handler(payload: Any) -> Any:
        # The first run moves from its thread to the loop, so that the turn comes free without a thread.
        return later(payload) if payload == "first" else agent(payload)

    runner = runner_for(handler, max_concurrency=1)
    first, second = (runner.start(name, streams=False) for name in ("first", "second"))
    system.allows = False
    runner._threads.shutdown()  # pyright: ignore[reportPrivateUsage]
    release.set()
    with anyio.fail_after(SECONDS):
        first.stop(Failed("enough", "TIMEOUT"))
        await read_to_end(first)
        [end] = await read_to_end(second)
    assert isinstance(end, Failed)
    assert end.code == "OVERLOADED"
    assert runner.active == 0


async def test_a_job_waits_for_the_threads_that_are_there_when_there_can_be_no_more(
    system: System,
) -> None:
    threads = WorkerThreads(8)
    release = threading.Event()
    first = threads.submit(release.wait, SECONDS)
    system.allows = False
    second = threads.submit(agent, 2)
    release.set()
    assert await within(first)
    assert await within(second) == {"got": 2}


async def test_the_pool_grows_again_when_the_system_allows_it(system: System) -> None:
    threads = WorkerThreads(2)
    system.allows = False
    for _ in range(3):
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.submit(agent, 1)
    assert threads.has_room
    system.allows = True
    meeting = threading.Barrier(2)
    both = [threads.submit(meeting.wait, SECONDS) for _ in range(2)]
    assert sorted([await within(one) for one in both]) == [0, 1]


async def test_an_exception_that_strikes_an_idle_thread_takes_no_job_with_it() -> None:
    threads = WorkerThreads(1)
    ident = await within(threads.submit(threading.get_ident))
    for _ in range(5):
        throw_into(ident, SystemExit)
        assert await within(threads.submit(agent, 1)) == {"got": 1}
        assert threads.has_room


async def test_a_job_that_raises_does_not_take_its_thread_with_it() -> None:
    threads = WorkerThreads(1)

    def job() -> None:
        raise SystemExit

    threads.start(job)
    assert await within(threads.submit(agent, 1)) == {"got": 1}


async def test_a_pool_that_was_shut_down_works_again() -> None:
    threads = WorkerThreads(4)
    for number in range(3):
        assert await within(threads.submit(agent, number)) == {"got": number}
        threads.shutdown()


def test_an_app_can_be_run_on_one_event_loop_after_another() -> None:
    app = app_for(agent)

    async def call() -> int:
        async with running(app), post(app, "/invoke", {}) as exchange:
            async with asyncio.timeout(SECONDS):
                await exchange.head()
        return exchange.status

    assert [asyncio.run(call()) for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("raised", [StopIteration, GeneratorExit])
async def test_what_a_future_cannot_hold_is_an_error_for_who_awaits_it(
    raised: type[BaseException],
) -> None:
    asyncio.get_running_loop().set_default_executor(WorkerThreads(1))

    def call() -> None:
        raise raised

    async def caller() -> None:
        with pytest.raises(RuntimeError, match=f"raised {raised.__name__}"):
            await asyncio.to_thread(call)

    with anyio.fail_after(SECONDS):
        await caller()


async def within(future: Future[Any]) -> Any:
    async with asyncio.timeout(SECONDS):
        return await asyncio.wrap_future(future)


def throw_into(ident: int, exception: type[BaseException]) -> None:
    throw: Callable[[ctypes.c_ulong, ctypes.py_object], int] = (
        ctypes.pythonapi.PyThreadState_SetAsyncExc
    )
    assert throw(ctypes.c_ulong(ident), ctypes.py_object(exception)) == 1
