"""Held runs: what goes on without a caller, what is kept of it, and for how long."""

from __future__ import annotations

import asyncio
import gc
import weakref

import anyio
import msgspec

from dockrion.events.model import RunStatus
from dockrion.runs.run import Run
from dockrion.runs.store.base import Created, NewRun
from dockrion.testing import ScriptedAgent, app_for, post, read_sse, running
from tests.runtime.resuming.kit import (
    PATH,
    Advance,
    after,
    ended,
    holding,
    kept,
    numbers,
    receive_until,
    resumed,
    store_of,
    turns,
    until,
    whole,
)

# Leaving


async def test_a_run_that_continues_runs_to_its_end_without_a_caller() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent(["a", gate, "b"])
    with anyio.fail_after(5):
        async with running(holding(agent)) as app:
            async with post(app, PATH, {}) as exchange:
                await exchange.receive()
            gate.set()
            await agent.stopped.wait()
            await until(lambda: app.state.dockrion.runner.active == 0)
            events = await resumed(app, 0)
    assert [event.event for event in events] == ["token", "token", "complete"]


async def test_the_deadline_ends_a_run_that_nobody_reads(advance: Advance) -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    app = holding(agent, arguments={"timeout_sec": 50})
    async with running(app):
        async with post(app, PATH, {}) as exchange:
            await exchange.receive()
        advance(51)
        await until(agent.stopped.is_set)
        events = await resumed(app, 0)
    assert events[-1].json()["code"] == "TIMEOUT"


async def test_a_window_that_passes_without_a_reader_cancels_the_run(advance: Advance) -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    app = holding(agent, window=20)
    async with running(app):
        async with post(app, PATH, {}) as exchange:
            await exchange.receive()
        advance(19)
        await turns()
        assert agent.running == 1
        advance(2)
        await until(agent.stopped.is_set)
        events = await resumed(app, 0)
    assert [event.event for event in events] == ["token", "cancelled"]
    assert events[-1].json()["reason"] == "The caller went away."


async def test_a_reader_who_is_there_stops_the_window_and_the_last_one_to_leave_starts_it_anew(
    advance: Advance,
) -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    app = holding(agent, window=20)
    async with running(app):
        async with post(app, PATH, {}) as first:
            await first.receive()
            advance(100)
            await turns()
        advance(15)
        async with post(app, "/invoke/stream", headers=after(0)) as second:
            await second.receive()
            advance(100)
            await turns()
            async with post(app, "/invoke/stream", headers=after(0)) as third:
                await third.receive()
            advance(100)
            await turns()
            assert agent.running == 1
        advance(15)
        await turns()
        assert agent.running == 1
        advance(6)
        await until(agent.stopped.is_set)


async def test_without_window_or_continue_nothing_is_held_and_the_caller_who_leaves_ends_the_run() -> (
    None
):
    agent = ScriptedAgent(["a", asyncio.Event()])
    with anyio.fail_after(5):
        async with running(app_for(agent)) as app:
            assert app.state.dockrion.kept is None
            async with post(app, PATH, {}) as exchange:
                await exchange.receive()
            await agent.stopped.wait()


async def test_a_caller_of_invoke_who_leaves_ends_the_run_whatever_streams_do() -> None:
    agent = ScriptedAgent([asyncio.Event()])
    with anyio.fail_after(5):
        async with running(holding(agent)) as app:
            async with post(app, "/invoke", {}):
                await until(lambda: agent.running)
            await agent.stopped.wait()


# What is kept


async def test_events_that_are_kept_no_more_are_a_gap() -> None:
    agent = ScriptedAgent([str(n) for n in range(50)])
    app = holding(agent, max_events=10)
    async with running(app):
        body = await whole(app)
        events = await resumed(app, 3)
        kept = await resumed(app, 41)
    # started, 50 tokens, complete: 0 to 51.
    assert numbers(body) == list(range(52))
    assert [event.event for event in events] == ["gap", *["token"] * 9, "complete"]
    gap = events[0].json()
    assert gap.pop("timestamp")
    assert gap == {"type": "gap", "run_id": "r", "from": 4, "to": 41}
    assert events[0].id == ""
    assert numbers(events[1:]) == numbers(kept) == list(range(42, 52))


async def test_a_run_without_readers_keeps_no_more_than_its_bounds() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent([gate, *["x" * 10_000] * 3000, {"output": 1}])
    app = holding(agent)
    with anyio.fail_after(10):
        async with running(app):
            store = store_of(app)
            store._runs._rules = msgspec.structs.replace(store.rules, max_bytes=1 << 20)
            async with post(app, PATH, {}) as exchange:
                await exchange.receive()
            gate.set()
            await agent.stopped.wait()
            await until(lambda: app.state.dockrion.runner.active == 0)
            await ended(app)
            assert store._runs["r"].events.weight <= 1 << 20
            events = await resumed(app, 0)
    assert events[0].event == "gap"
    assert numbers(events[1:]) == list(range(events[0].json()["to"] + 1, 3002))


async def test_after_its_ttl_nothing_of_a_run_is_in_memory(advance: Advance) -> None:
    app = holding(ScriptedAgent(["a"]), ttl=60)
    async with running(app):
        await whole(app)
        gone = weakref.ref(store_of(app)._runs["r"].events)
        advance(59)
        await turns()
        assert len(await resumed(app, 0)) == 2
        advance(2)
        await store_of(app).sweep()
        async with post(app, "/invoke/stream", headers=after(0)) as exchange:
            await exchange.read()
        app.state.dockrion.traffic.flush()
        gc.collect()
        assert exchange.status == 410
        assert gone() is None


async def test_an_ended_run_keeps_its_frames_and_nothing_else() -> None:
    app = holding(ScriptedAgent(["a"]))
    async with running(app):
        await whole(app, "/invoke/stream?run_id=frames-only")
        await until(lambda: app.state.dockrion.runner.active == 0)
        app.state.dockrion.traffic.flush()
        gc.collect()
        runs = [one for one in gc.get_objects() if isinstance(one, Run)]
        assert "frames-only" not in [run.run_id for run in runs]
        assert await kept(app, "frames-only")


async def test_with_a_ttl_of_zero_nothing_is_kept_after_the_end() -> None:
    gate = asyncio.Event()
    app = holding(ScriptedAgent(["a", gate]), ttl=0)
    with anyio.fail_after(5):
        async with running(app):
            async with post(app, PATH, {}) as first:
                await receive_until(first, b'"a"')
            async with post(app, "/invoke/stream", headers=after(0)) as second:
                await second.receive()
                gate.set()
                events = read_sse(await second.read())
            assert [event.event for event in events] == ["complete"]
            assert await kept(app) is None
            async with post(app, "/invoke/stream", headers=after(2)) as third:
                await third.read()
    assert third.status == 410


async def test_of_too_many_ended_runs_the_oldest_go_first() -> None:
    app = holding(ScriptedAgent(["x" * 1000]))
    async with running(app):
        store = store_of(app)
        store._runs._max_ended_bytes = 15_000
        for number in range(10):
            await whole(app, f"/invoke/stream?run_id=r{number}")
            await ended(app, f"r{number}")
        left = [number for number in range(10) if await store.get(f"r{number}")]
    assert left == list(range(10 - len(left), 10))
    assert 1 < len(left) < 5


async def test_a_run_that_is_refused_in_the_last_moment_does_not_stay_running() -> None:
    async with running(holding(ScriptedAgent(["a"]))) as app:
        store = store_of(app)
        create = store.create

        async def late(new: NewRun) -> Created:
            created = await create(new)
            app.state.dockrion.runner._draining = True
            return created

        store.create = late  # pyright: ignore[reportAttributeAccessIssue]
        async with post(app, PATH, {}) as exchange:
            await exchange.head()
        assert exchange.status == 503
        record = await kept(app)
        assert record is not None
        assert record.status is RunStatus.FAILED
        assert record.result is not None
        assert b"SHUTTING_DOWN" in record.result
