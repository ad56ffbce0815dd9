"""A process ends without its event loop only when the loop is stuck, or when it is told to end whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from dockrion.runtime import last_resort
from dockrion.runtime.last_resort import LastResort


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    event = threading.Event()
    monkeypatch.setattr(last_resort, "_end", event.set)
    monkeypatch.setattr(last_resort, "_STUCK_SECONDS", 0.05)
    return event


@pytest.fixture
async def resort() -> AsyncGenerator[LastResort]:
    one = LastResort(asyncio.get_running_loop())
    one.start()
    yield one
    one.cancel()


async def test_a_loop_that_turns_is_left_alone(
    ended: threading.Event, resort: LastResort, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    looks = asyncio.Semaphore(0)
    ask = loop.call_soon_threadsafe

    class Counted:
        is_running = staticmethod(loop.is_running)

        def call_soon_threadsafe(self, callback: object) -> None:
            ask(callback)  # type: ignore[arg-type]
            ask(looks.release)

    monkeypatch.setattr(resort, "_loop", Counted())
    resort.end_if_stuck_after(0)
    async with asyncio.timeout(5):
        for _ in range(3):
            await looks.acquire()
    assert not ended.is_set()


async def test_a_loop_that_is_stuck_ends_with_its_process(
    ended: threading.Event, resort: LastResort
) -> None:
    resort.end_if_stuck_after(0)
    # The loop's own thread waits here, so the loop does not turn.
    assert ended.wait(5)


async def test_the_time_comes_first(ended: threading.Event, resort: LastResort) -> None:
    resort.end_if_stuck_after(3600)
    assert not ended.wait(0.2)


async def test_a_loop_that_turns_ends_too_when_it_is_told_whatever_happens(
    ended: threading.Event, resort: LastResort
) -> None:
    resort.end_if_stuck_after(3600)
    resort.end_after(0)
    assert await asyncio.to_thread(ended.wait, 5)


async def test_nothing_is_ended_after_a_cancel(ended: threading.Event, resort: LastResort) -> None:
    resort.end_if_stuck_after(0)
    resort.cancel()
    assert not ended.wait(0.2)


async def test_a_system_without_a_thread_to_spare_is_served_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    one = LastResort(asyncio.get_running_loop())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    one.start()
    one.cancel()
    assert "would not be ended" in caplog.text
