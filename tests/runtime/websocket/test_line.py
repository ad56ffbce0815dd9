"""Who writes to a connection next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from dockrion.runtime.asgi import Message
from dockrion.runtime.websocket.line import Line


class Wire:
    """A connection that takes one message each time it is told to."""

    def __init__(self) -> None:
        self.took: list[str] = []
        self._opened = asyncio.Semaphore(0)

    async def send(self, message: Message) -> None:
        await self._opened.acquire()
        self.took.append(message["text"])

    async def take(self, messages: int) -> list[str]:
        for _ in range(messages):
            self._opened.release()
        while len(self.took) < messages:
            await asyncio.sleep(0)
        taken, self.took = self.took, []
        return taken


async def a_run_writes(line: Line, text: str) -> None:
    async with line.turn:
        await line.write([text.encode()])


async def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def test_what_is_said_passes_the_runs_that_wait() -> None:
    wire = Wire()
    line = Line(wire.send, joins=False)
    tasks = [await begun(a_run_writes(line, f"run {number}")) for number in range(3)]
    tasks += [await begun(line.say(b"accepted")), await begun(line.say(b"pong"))]
    assert await wire.take(5) == ["run 0", "accepted", "pong", "run 1", "run 2"]
    await asyncio.gather(*tasks)


async def test_whoever_gives_up_waiting_hands_the_turn_on() -> None:
    wire = Wire()
    line = Line(wire.send, joins=False)
    one = await begun(a_run_writes(line, "one"))
    two, three = [await begun(a_run_writes(line, text)) for text in ("two", "three")]
    two.cancel()
    assert await wire.take(2) == ["one", "three"]
    await asyncio.gather(one, three)


@pytest.mark.parametrize("has_the_turn", [False, True])
async def test_a_write_that_is_dropped_keeps_nobody_waiting(has_the_turn: bool) -> None:
    wire = Wire()
    line = Line(wire.send, joins=False)
    one = await begun(a_run_writes(line, "one"))
    dropped = a_run_writes(line, "dropped")
    dropped.send(None)
    two = await begun(a_run_writes(line, "two"))
    if has_the_turn:
        assert await wire.take(1) == ["one"]
        await one
    dropped.close()
    assert await wire.take(1 if has_the_turn else 2) == ["one", "two"][has_the_turn:]
    await asyncio.gather(one, two)
