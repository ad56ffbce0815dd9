"""Held runs: slow readers, the end of the server, and what is counted."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.events import sse
from dockrion.runtime import streams
from dockrion.testing import ScriptedAgent, post, read_sse, request, running
from tests.runtime.flood import Flood
from tests.runtime.resuming.kit import (
    PATH,
    Advance,
    after,
    holding,
    numbers,
    receive_until,
    resumed,
    store_of,
    turns,
    until,
    whole,
)

# Slow readers


async def test_a_slow_reader_slows_a_held_run_down_and_gets_everything() -> None:
    flood = Flood(30_000)

    with anyio.fail_after(20):
        app = holding(flood.agent, max_events=10)
        async with running(app), post(app, PATH, {}, window=1) as exchange:
            await exchange.head()
            for _ in range(500):
                await asyncio.sleep(0)
            assert flood.made < 10_000
            events = read_sse(await exchange.read())
    assert numbers(events) == list(range(30_002))


async def test_the_slowest_of_two_readers_bounds_the_run_until_it_leaves() -> None:
    flood = Flood(30_000)

    with anyio.fail_after(20):
        async with running(holding(flood.agent, max_events=100_000)) as app:
            async with post(app, PATH, {}, window=1) as slow:
                await slow.head()
                async with post(app, "/invoke/stream", headers=after(0)) as quick:
                    for _ in range(500):
                        await asyncio.sleep(0)
                    assert flood.made < 10_000
                    slow.disconnect()
                    events = read_sse(await quick.read())
    assert numbers(events) == list(range(1, 30_002))


async def test_a_run_whose_reader_is_slow_ends_on_time_all_the_same(advance: Advance) -> None:
    app = holding(ScriptedAgent(["x"] * 100_000), arguments={"timeout_sec": 50})
    async with running(app), post(app, PATH, {}, window=1) as exchange:
        await exchange.head()
        for _ in range(200):
            await asyncio.sleep(0)
        advance(51)
        await until(lambda: app.state.dockrion.runner.active == 0)
        events = read_sse(await exchange.read())
    assert events[-1].json()["code"] == "TIMEOUT"
    assert numbers(events) == list(range(len(events)))


async def test_a_caller_who_takes_nothing_is_given_up_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(streams, "monotonic", lambda: now)
    agent = ScriptedAgent(["x"] * 20_000)
    app = holding(agent, expose={"limits": {"write_timeout": 2}})
    with anyio.fail_after(10):
        async with running(app):
            async with post(app, PATH, {}, window=1) as exchange:
                await exchange.head()
                for _ in range(100):
                    await asyncio.sleep(0)
                assert agent.running == 1
                now += 3
                await exchange.ended.wait()
            await agent.stopped.wait()
            await until(lambda: app.state.dockrion.runner.active == 0)
            assert (await resumed(app, 19_000))[-1].event == "complete"


# Shutdown


async def test_a_drain_waits_for_held_runs_and_their_callers_may_come_back_meanwhile() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent(["a", gate, "b"])
    with anyio.fail_after(5):
        async with running(holding(agent)) as app:
            async with post(app, PATH, {}) as first:
                await first.receive()
            draining = asyncio.ensure_future(app.state.dockrion.drain())
            await turns()
            assert not draining.done()
            async with post(app, "/invoke/stream", {}) as new:
                await new.read()
            async with post(app, "/invoke/stream", headers=after(0)) as second:
                await second.receive()
                gate.set()
                rest = await second.read()
            await draining
    assert new.status == 503
    assert read_sse(rest)[-1].event == "complete"


async def test_a_held_run_that_outlasts_the_grace_ends_with_shutting_down() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    app = holding(agent, expose={"shutdown_grace": 0.05})
    with anyio.fail_after(5):
        async with running(app):
            async with post(app, PATH, {}) as first:
                await first.receive()
            await app.state.dockrion.drain()
            events = await resumed(app, 1)
        assert agent.running == 0
    assert events[-1].json()["code"] == "SHUTTING_DOWN"


async def test_an_app_that_has_ended_holds_nothing_and_starts_again() -> None:
    app = holding(ScriptedAgent(["a"]))
    for _ in range(2):
        async with running(app):
            before = store_of(app)
            assert [event.event for event in await whole(app)][-1] == "complete"
            assert len(before) == 1
        assert len(before) == 0


async def test_a_broken_pump_ends_its_run_for_all_who_read_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frames = sse.frames
    broken = iter([True])

    def breaks_once(*args: Any) -> bytes:
        if next(broken, False):
            raise ZeroDivisionError
        return frames(*args)

    monkeypatch.setattr("dockrion.runs.kept.sse.frames", breaks_once)
    app = holding(ScriptedAgent(["a", asyncio.Event()]))
    with anyio.fail_after(5):
        async with running(app):
            [event] = await whole(app)
            assert app.state.dockrion.runner.active == 0
    assert event.json()["code"] == "INTERNAL_ERROR"
    assert "a kept run broke" in caplog.text


async def test_a_store_that_forgets_a_run_ends_its_streams_with_a_word_and_its_subscriptions() -> (
    None
):
    more = asyncio.Event()
    with anyio.fail_after(5):
        async with (
            running(holding(ScriptedAgent(["a", more, "b", asyncio.Event()]))) as app,
            post(app, PATH, {}) as exchange,
            request(app, "GET", "/runs/r/events") as subscription,
        ):
            first = await receive_until(exchange, b"token")
            await receive_until(subscription, b"token")
            store = store_of(app)
            store._runs.clear()
            more.set()
            events = read_sse(first + await exchange.read())
            assert await subscription.read() == b""
    assert numbers(events) == [0, 1, 2]
    assert events[-1].event == "error"
    assert events[-1].json()["code"] == "SERVICE_UNAVAILABLE"


# Seen from outside


async def test_events_are_counted_once_and_each_connection_is_a_request() -> None:
    tallies: list[Any] = []
    app = holding(ScriptedAgent(["a", "b"]))
    async with running(app):
        traffic = app.state.dockrion.traffic
        traffic.sinks.append(tallies.append)
        await whole(app)
        await resumed(app, 0)
        async with post(app, "/invoke/stream", headers=after(3)) as exchange:
            await exchange.read()
        traffic.flush()
    calls = [call for tally in tallies for call in tally.calls]
    assert [(call.endpoint, call.status, call.run_id) for call in calls] == [
        ("/invoke/stream", 200, "r"),
        ("/invoke/stream", 200, "r"),
        ("/invoke/stream", 204, "r"),
    ]
    assert sum(tally.events["token"] for tally in tallies) == 2
    assert sum(sum(tally.ended.values()) for tally in tallies) == 1


async def test_a_caller_who_left_a_held_run_counts_as_gone_and_one_who_read_its_end_does_not(
    advance: Advance,
) -> None:
    tallies: list[Any] = []
    app = holding(ScriptedAgent(["a", asyncio.Event()]), window=20)
    async with running(app):
        traffic = app.state.dockrion.traffic
        traffic.sinks.append(tallies.append)
        async with post(app, PATH, {}) as exchange:
            await exchange.receive()
        advance(21)
        await until(lambda: app.state.dockrion.runner.active == 0)
        await resumed(app, 0)
        traffic.flush()
    calls = [call for tally in tallies for call in tally.calls]
    assert [(call.status, call.code) for call in calls] == [(499, None), (409, "CONFLICT")]
