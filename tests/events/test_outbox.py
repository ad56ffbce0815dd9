from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import Any

import anyio
import pytest

from dockrion.events import outbox as outbox_module
from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.model import Failed, Token
from dockrion.events.outbox import SOFT_EVENTS, Outbox
from dockrion.runs.ending import CALLER_LEFT
from tests.runs.kit import next_batch, read_to_end, runner_for, tokens


async def test_an_async_agent_waits_for_a_reader_who_does_not_read() -> None:
    made = 0

    async def agent(payload: Any) -> AsyncGenerator[str]:
        nonlocal made
        for _ in range(10 * SOFT_EVENTS):
            made += 1
            yield "x"

    run = runner_for(agent).start({}, streams=True)
    for _ in range(200):
        await asyncio.sleep(0)
    assert made <= SOFT_EVENTS
    with anyio.fail_after(10):
        events = await read_to_end(run)
    assert made == 10 * SOFT_EVENTS == len(tokens(events))


async def test_a_sync_agent_waits_in_its_thread_and_loses_nothing() -> None:
    made = 0

    def agent(payload: Any) -> Generator[str]:
        nonlocal made
        for number in range(5 * SOFT_EVENTS):
            made += 1
            yield str(number)

    run = runner_for(agent).start({}, streams=True)
    with anyio.fail_after(10):
        # `started` is one of the events.
        while made < SOFT_EVENTS - 1:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert made == SOFT_EVENTS - 1
        events = await read_to_end(run)
    assert tokens(events) == [str(number) for number in range(5 * SOFT_EVENTS)]


async def test_many_threads_emit_each_in_order_and_nothing_is_lost_or_doubled() -> None:
    def work(context: StreamContext, name: int) -> None:
        for number in range(2000):
            context.sync_emit_token(f"{name}:{number}")

    async def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        await asyncio.gather(*(asyncio.to_thread(work, context, name) for name in range(6)))
        return {}

    with anyio.fail_after(20):
        sent = tokens(await read_to_end(runner_for(agent).start({}, streams=True)))
    assert len(sent) == 6 * 2000
    for name in range(6):
        mine = [token for token in sent if token.startswith(f"{name}:")]
        assert mine == [f"{name}:{number}" for number in range(2000)]


async def test_a_large_event_counts_by_its_bytes() -> None:
    made = 0

    async def agent(payload: Any) -> AsyncGenerator[str]:
        nonlocal made
        for _ in range(20):
            made += 1
            yield "x" * (outbox_module.SOFT_BYTES // 2)

    run = runner_for(agent).start({}, streams=True)
    for _ in range(200):
        await asyncio.sleep(0)
    assert made <= 3
    run.leave()


async def test_sync_emits_on_the_loop_pass_the_soft_bound_and_end_the_run_at_the_hard_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_module, "HARD_BYTES", 1 << 20)
    emitted = 0

    async def agent(payload: Any, context: StreamContext) -> None:
        nonlocal emitted
        while True:
            context.sync_emit_token("x" * 1000)
            emitted += 1

    with anyio.fail_after(10):
        events = await read_to_end(runner_for(agent).start({}, streams=True))
    assert events[-1] == Failed("The agent emitted faster than its reader takes.", "OVERLOADED")
    assert emitted * 1000 > (1 << 20) - 100_000


async def test_sync_emits_on_the_loop_within_the_hard_bound_all_arrive() -> None:
    async def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        for _ in range(3 * SOFT_EVENTS):
            context.sync_emit_token("x")
        return {}

    with anyio.fail_after(10):
        events = await read_to_end(runner_for(agent).start({}, streams=True))
    assert len(tokens(events)) == 3 * SOFT_EVENTS


async def test_a_waiting_thread_is_let_go_when_the_run_ends() -> None:
    raised: list[BaseException] = []
    done = threading.Event()

    def agent(payload: Any, context: StreamContext) -> None:
        try:
            while True:
                context.sync_emit_token("x")
        except RunCancelled as exc:
            raised.append(exc)
            done.set()
            raise

    run = runner_for(agent).start({}, streams=True)
    await asyncio.sleep(0.02)
    run.stop(CALLER_LEFT)
    assert await asyncio.to_thread(done.wait, 5)
    assert len(raised) == 1
    run.leave()


async def test_an_agent_that_computes_between_tokens_gives_each_its_turn() -> None:
    """Each token is with the reader before the next computation begins."""
    seen = 0

    async def agent(payload: Any) -> AsyncGenerator[str]:
        for number in range(5):
            counter = asyncio.get_running_loop().time() + 0.003
            while asyncio.get_running_loop().time() < counter:
                sum(range(1000))
            assert seen == number
            yield "x"

    run = runner_for(agent).start({}, streams=True)
    with anyio.fail_after(10):
        while not (batch := await next_batch(run)).is_last:
            seen += len(tokens(batch.events))
        assert not isinstance(batch.events[-1], Failed), batch.events[-1]
    assert seen == 5


async def test_an_agent_in_a_loop_of_its_own_can_emit() -> None:
    def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        async def inner() -> None:
            for number in range(2 * SOFT_EVENTS):
                await context.emit_token(str(number))

        asyncio.run(inner())
        return {}

    with anyio.fail_after(20):
        events = await read_to_end(runner_for(agent).start({}, streams=True))
    assert tokens(events) == [str(number) for number in range(2 * SOFT_EVENTS)]


async def test_put_after_close_raises() -> None:
    box = Outbox(asyncio.get_running_loop())
    box.put(Token("a"), 1)
    box.close()
    with pytest.raises(RunCancelled):
        box.put(Token("b"), 1)
    with pytest.raises(RunCancelled):
        box.beat()
    assert box.drain() == [Token("a")]
