"""`Last-Event-ID` on `POST /invoke/stream`: callers who come back, and what they get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.errors import GoneError, NotFoundError
from dockrion.events.context import StreamContext
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.runs.kept import piece_of
from dockrion.runtime import streams
from dockrion.testing import Exchange, ScriptedAgent, SSEEvent, post, read_sse, running
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
    whole,
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from(["a", "b\n\n", "turn", "🦆 é", "x" * 300]), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=6),
)
def test_any_cut_of_a_stream_at_any_byte_any_number_of_times_joins_to_the_stream(
    steps: list[str], cuts: list[int]
) -> None:
    async def agent(payload: Any) -> AsyncGenerator[str]:
        yield "first"
        for step in steps:
            if step == "turn":
                await asyncio.sleep(0)
            else:
                yield step

    async def cut_and_resume() -> None:
        app = holding(agent)
        seen: list[SSEEvent] = []
        async with running(app):
            for cut in [*cuts, None]:
                # A client that was cut before its first event has nothing to go on after.
                headers = {"Last-Event-ID": seen[-1].id} if seen else None
                async with post(app, "/invoke/stream", {}, headers=headers) as exchange:
                    await exchange.head()
                    if exchange.status == 204:
                        break
                    body = await _body(exchange, cut)
                # What was cut in the middle of a frame is lost, and must come again.
                seen += read_sse(body)
            started = seen[0].json()["run_id"]
            assert [event.id for event in seen] == [f"{started}:{n}" for n in range(len(seen))]
            assert seen[-1].event == "complete"
            text = "".join(e.json()["content"] for e in seen if e.event == "token")
            assert text == "first" + "".join(step for step in steps if step != "turn")
            assert seen == read_sse(await all_frames(app, started))

    asyncio.run(cut_and_resume())


async def _body(exchange: Exchange, cut: int | None) -> bytes:
    if cut is None:
        return await exchange.read()
    body = b""
    while len(body) < cut and (chunk := await exchange.receive()):
        body += chunk
    return body[:cut]


async def all_frames(app: FastAPI, run_id: str) -> bytes:
    page = await store_of(app).read(run_id, 0)
    assert page is not None
    return piece_of(page.entries, 0).body


async def test_a_caller_who_comes_back_gets_what_is_stored_and_then_what_is_live() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent(["a", "b", gate, "c"])
    with anyio.fail_after(5):
        async with running(holding(agent)) as app:
            async with post(app, PATH, {}) as first:
                await receive_until(first, b'"a"')
            async with post(app, "/invoke/stream", headers=after(1)) as second:
                stored = await receive_until(second, b'"b"')
                gate.set()
                events = read_sse(stored + await second.read())
    assert second.headers["x-run-id"] == "r"
    assert second.headers["content-type"] == "text/event-stream"
    assert numbers(events) == [2, 3, 4]
    assert events[-1].json()["output"] == {"content": "abc"}
    assert len(agent.payloads) == 1


async def test_an_ended_run_replays_byte_for_byte_what_its_caller_got() -> None:
    async with running(holding(ScriptedAgent(["a", "b"]))) as app:
        async with post(app, PATH, {}) as exchange:
            body = await exchange.read()
        for sequence in range(3):
            async with post(app, "/invoke/stream", headers=after(sequence)) as again:
                rest = await again.read()
            assert body.endswith(rest)
            assert numbers(read_sse(rest)) == list(range(sequence + 1, 4))


@pytest.mark.parametrize(
    ("last_event_id", "status", "code", "says"),
    [
        ("ended:1", 200, None, ""),
        ("ended:2", 204, None, ""),
        ("ended:3", 410, "GONE", "has no event 3"),
        ("running:9", 410, "GONE", "has no event 9"),
        ("ended:999999999999999999", 410, "GONE", "has no event"),
        ("nobodys:0", 410, "GONE", "'nobodys' is not held"),
        ("plain:0", 410, "GONE", "'plain' is not held"),
        ("ended", 400, "VALIDATION_ERROR", "must be <run_id>:<sequence>"),
        ("1", 400, "VALIDATION_ERROR", "must be <run_id>:<sequence>"),
        ("ended:-1", 400, "VALIDATION_ERROR", "must be <run_id>:<sequence>"),
        ("ended:1:2", 400, "VALIDATION_ERROR", "must be <run_id>:<sequence>"),
        ("", 400, "VALIDATION_ERROR", "must be <run_id>:<sequence>"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"not JSON", b"x" * 100_000])
async def test_every_last_event_id_has_its_answer_whatever_the_body(
    last_event_id: str, status: int, code: str | None, says: str, body: bytes
) -> None:
    gate = asyncio.Event()
    scripts = [ScriptedAgent(["a"]), ScriptedAgent([gate])]

    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        async for item in scripts[context.run_id == "running"].call(payload, context, streams=True):
            yield item

    with anyio.fail_after(5):
        async with running(holding(agent)) as app:
            await whole(app, "/invoke/stream?run_id=ended")
            async with post(app, "/invoke?run_id=plain", {}) as plain:
                await plain.read()
            async with post(app, "/invoke/stream?run_id=running", {}) as open_one:
                await open_one.receive()
                headers = {"Last-Event-ID": last_event_id, "Content-Type": "text/plain"}
                async with post(app, "/invoke/stream", body, headers=headers) as exchange:
                    answer = await exchange.read()
                gate.set()
                await open_one.read()
    assert exchange.status == status
    assert exchange.headers["x-request-id"]
    assert len(scripts[0].payloads) == 2
    assert len(scripts[1].payloads) == 1
    if code is not None:
        assert f'"code":"{code}"'.encode() in answer
        assert says.encode() in answer
    elif status == 204:
        assert answer == b""
        assert exchange.headers["x-run-id"] == "ended"
        assert "content-type" not in exchange.headers


async def test_a_run_is_found_by_its_own_caller_only() -> None:
    app = holding(ScriptedAgent(["a"]))
    async with running(app):
        await whole(app)
        service = app.state.dockrion.runs
        assert (await service.get("r", ANONYMOUS)).run_id == "r"
        eve = Identity(id="eve", auth_method="api_key")
        with pytest.raises(NotFoundError):
            await service.get("r", eve)
        with pytest.raises(GoneError):
            await service.follow_direct("r", eve, after=0)


async def test_two_readers_of_one_run_both_get_every_event_once() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent(["a", gate, "b", "c"])
    with anyio.fail_after(5):
        async with running(holding(agent)) as app, post(app, PATH, {}) as old:
            received = await receive_until(old, b'"a"')
            async with post(app, "/invoke/stream", headers=after(0)) as new:
                again = await receive_until(new, b'"a"')
                gate.set()
                both = (received + await old.read(), again + await new.read())
    assert numbers(read_sse(both[0])) == [0, 1, 2, 3, 4]
    assert numbers(read_sse(both[1])) == [1, 2, 3, 4]


async def test_one_reader_too_many_is_refused_until_another_leaves() -> None:
    gate = asyncio.Event()
    app = holding(ScriptedAgent([gate]), connection={"max_subscribers_per_run": 1})
    with anyio.fail_after(5):
        async with running(app), post(app, PATH, {}) as first:
            await first.receive()
            async with post(app, "/invoke/stream", headers=after(0)) as second:
                answer = await second.json()
            gate.set()
            await first.read()
            assert numbers(await resumed(app, 0)) == [1]
    assert second.status == 429
    assert answer["detail"]["code"] == "TOO_MANY_SUBSCRIBERS"
    assert "max_subscribers_per_run" in answer["detail"]["message"]


@pytest.mark.parametrize("way", ["/invoke", "/invoke/stream"])
async def test_the_id_of_a_held_run_is_taken_also_after_its_end(way: str, advance: Advance) -> None:
    app = holding(ScriptedAgent(["a"]), ttl=60)
    async with running(app):
        await whole(app)
        async with post(app, f"{way}?run_id=r", {}) as exchange:
            answer = await exchange.json()
        assert (exchange.status, answer["code"]) == (409, "CONFLICT")
        advance(61)
        async with post(app, f"{way}?run_id=r", {}) as exchange:
            await exchange.read()
        assert exchange.status == 200


@pytest.mark.parametrize(
    ("allowed", "heartbeat"), [("all", b"event: heartbeat\n"), ("chat", b":hb\n")]
)
async def test_a_resumed_stream_gets_heartbeats_as_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, heartbeat: bytes
) -> None:
    now = 1000.0
    monkeypatch.setattr(streams, "monotonic", lambda: now)
    more = {"events": {"allowed": allowed, "heartbeat_interval": 1}}
    with anyio.fail_after(5):
        async with running(holding(ScriptedAgent([asyncio.Event()]), more=more)) as app:
            async with post(app, PATH, {}) as first:
                await first.receive()
            async with post(app, "/invoke/stream", headers=after(0)) as second:
                await second.head()
                await asyncio.sleep(0)
                now += 1.01
                beat = await second.receive()
                app.state.dockrion.runner.stop_all()
    assert beat.startswith(heartbeat)
    assert b"id:" not in beat


async def test_an_agents_own_heartbeat_reaches_all_readers() -> None:
    gate = asyncio.Event()

    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        await gate.wait()
        await context.emit_heartbeat()
        await turns()
        yield "a"

    with anyio.fail_after(5):
        async with running(holding(agent)) as app, post(app, PATH, {}) as old:
            await old.receive()
            async with post(app, "/invoke/stream", headers=after(0)) as new:
                await new.head()
                gate.set()
                kinds = [[event.event async for event in one.events()] for one in (old, new)]
    assert kinds == [["heartbeat", "token", "complete"]] * 2
