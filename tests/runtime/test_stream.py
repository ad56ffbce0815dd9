"""`POST /invoke/stream` as a client sees it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.runtime import streams
from dockrion.testing import ScriptedAgent, app_for, post, read_sse, request, running
from tests.runtime.flood import Flood


async def speak(payload: Any) -> AsyncGenerator[Any]:
    yield "The"
    yield " answer"


async def test_headers_and_events_are_those_of_the_contract() -> None:
    async with running(app_for(speak)) as app, post(app, "/invoke/stream", {"q": 1}) as exchange:
        events = [event async for event in exchange.events()]
    run_id = exchange.headers["x-run-id"]
    assert exchange.status == 200
    assert exchange.headers["content-type"] == "text/event-stream"
    assert exchange.headers["cache-control"] == "no-cache"
    assert exchange.headers["connection"] == "keep-alive"
    assert exchange.headers["x-accel-buffering"] == "no"
    assert exchange.headers["x-request-id"]
    assert [event.event for event in events] == ["started", "token", "token", "complete"]
    assert [event.id for event in events] == [f"{run_id}:{number}" for number in range(4)]
    complete = events[-1].json()
    assert complete["output"] == {"content": "The answer"}
    assert (
        complete["latency"]
        == complete["latency_seconds"]
        == complete["metadata"]["latency_seconds"]
    )
    assert complete["metadata"]["agent"] == "test"
    assert complete["metadata"]["framework"] == "custom"
    assert complete["metadata"]["run_id"] == run_id


async def test_each_event_is_sent_as_soon_as_it_is_emitted() -> None:
    gate = asyncio.Event()
    agent = ScriptedAgent(["first", gate, "second"])
    with anyio.fail_after(5):
        async with running(app_for(agent)) as app, post(app, "/invoke/stream", {}) as exchange:
            received = b""
            while b'"first"' not in received:
                received += await exchange.receive()
            assert agent.running == 1
            gate.set()
            received += await exchange.read()
    assert [event.event for event in read_sse(received)] == [
        "started",
        "token",
        "token",
        "complete",
    ]


async def test_a_caller_who_leaves_stops_the_agent() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    with anyio.fail_after(5):
        async with running(app_for(agent)) as app:
            async with post(app, "/invoke/stream", {}) as exchange:
                await exchange.receive()
            await agent.stopped.wait()
    assert agent.running == 0


async def test_a_caller_who_leaves_invoke_stops_the_agent_too() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    with anyio.fail_after(5):
        async with running(app_for(agent)) as app:
            async with post(app, "/invoke", {}):
                while not agent.running:
                    await asyncio.sleep(0)
            await agent.stopped.wait()


async def test_a_failing_agent_ends_its_stream_with_one_error_event() -> None:
    agent = ScriptedAgent(["a", ValueError('file /home/me/secret/keys.txt has "quotes"\n')])
    async with running(app_for(agent)) as app, post(app, "/invoke/stream", {}) as exchange:
        events = [event async for event in exchange.events()]
    assert [event.event for event in events] == ["started", "token", "error"]
    error = events[-1].json()
    assert error["code"] == "AGENT_EXECUTION_ERROR"
    assert error["error"] == 'ValueError: file keys.txt has "quotes"\n'
    assert error["details"] is None


async def test_an_agent_that_cannot_stream_gives_started_and_complete() -> None:
    class Agent:
        def invoke(self, payload: Any) -> Any:
            return {"got": payload}

    from dockrion.adapters.objects import ObjectAgent

    app = app_for(ObjectAgent(Agent(), name="m:agent"))
    async with running(app) as live, post(live, "/invoke/stream", {"a": 1}) as exchange:
        events = [event async for event in exchange.events()]
    assert [event.event for event in events] == ["started", "complete"]
    assert events[-1].json()["output"] == {"got": {"a": 1}}


async def test_a_preset_sends_only_its_events() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        await context.emit_progress("p", 0.5)
        yield "a"
        await context.emit("note", {})

    app = app_for(agent, streaming={"events": {"allowed": "chat"}})
    async with running(app) as live, post(live, "/invoke/stream", {}) as exchange:
        events = [event async for event in exchange.events()]
    assert [event.event for event in events] == ["started", "token", "complete"]
    assert [event.json()["sequence"] for event in events] == [0, 1, 2]


@pytest.mark.parametrize(
    ("allowed", "heartbeat"),
    [("all", b"event: heartbeat\n"), ("chat", b":hb\n")],
)
async def test_a_silent_stream_gets_heartbeats_as_allowed(
    monkeypatch: pytest.MonkeyPatch, allowed: str, heartbeat: bytes
) -> None:
    # The clock's time is what the test says it is.
    now = 1000.0
    monkeypatch.setattr(streams, "monotonic", lambda: now)
    agent = ScriptedAgent([asyncio.Event()])
    app = app_for(agent, streaming={"events": {"allowed": allowed, "heartbeat_interval": 1}})
    with anyio.fail_after(5):
        async with running(app) as live, post(live, "/invoke/stream", {}) as exchange:
            assert b"event: started" in await exchange.receive()
            now += 1.01
            beat = await exchange.receive()
            assert beat.startswith(heartbeat)
            assert b"id:" not in beat
            now += 1.01
            assert (await exchange.receive()).startswith(heartbeat)


async def test_a_comment_heartbeat_makes_no_event() -> None:
    assert read_sse(b":hb\nevent: token\ndata: 1\nid: r:1\n\n:hb\n") == read_sse(
        b"event: token\ndata: 1\nid: r:1\n\n"
    )


async def test_an_agent_may_ask_for_a_heartbeat() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        await context.emit_heartbeat()
        await asyncio.sleep(0)
        yield {"type": "heartbeat"}
        await asyncio.sleep(0)
        yield "a"

    async with running(app_for(agent)) as app, post(app, "/invoke/stream", {}) as exchange:
        events = [event async for event in exchange.events()]
    assert [event.event for event in events if event.event != "heartbeat"] == [
        "started",
        "token",
        "complete",
    ]
    assert any(event.event == "heartbeat" for event in events)
    assert [e.json()["sequence"] for e in events if e.event != "heartbeat"] == [0, 1, 2]


async def test_a_caller_who_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(streams, "monotonic", lambda: now)
    agent = ScriptedAgent(["x"] * 50_000)
    app = app_for(agent, expose={"limits": {"write_timeout": 2}})
    with anyio.fail_after(5):
        async with running(app) as live, post(live, "/invoke/stream", {}, window=1) as exchange:
            await exchange.head()
            for _ in range(100):
                await asyncio.sleep(0)
            now += 1.5
            await asyncio.sleep(0.25)
            assert agent.running == 1
            now += 1
            await agent.stopped.wait()
            await exchange.ended.wait()
    assert exchange.status == 200


async def test_a_slow_reader_slows_the_agent_down_and_gets_everything() -> None:
    flood = Flood(20_000)

    with anyio.fail_after(20):
        async with running(app_for(flood.agent)) as app:
            async with post(app, "/invoke/stream", {}, window=1) as exchange:
                await exchange.head()
                for _ in range(500):
                    await asyncio.sleep(0)
                assert flood.made < 8000
                events = read_sse(await exchange.read())
    assert [e.json()["content"] for e in events[1:-1]] == [str(n) for n in range(20_000)]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Last-Event-ID": "some-run:7"}, 410, "GONE"),
        ({"Last-Event-ID": "7"}, 400, "VALIDATION_ERROR"),
        ({"Last-Event-ID": "a:b:c"}, 400, "VALIDATION_ERROR"),
        ({"Last-Event-ID": ""}, 400, "VALIDATION_ERROR"),
    ],
)
async def test_a_reconnect_never_starts_a_run(
    headers: dict[str, str], status: int, code: str
) -> None:
    agent = ScriptedAgent(["a"])
    async with running(app_for(agent)) as app:
        async with post(app, "/invoke/stream", {}, headers=headers) as exchange:
            answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (status, code)
    assert agent.payloads == []


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?thread_id=%E2%9C%93-%C3%A9", {}),
        ("?thread_id=✓-é", {}),
        ("", {"x-thread-id": "✓-é".encode().decode("latin-1")}),
    ],
)
async def test_a_thread_id_is_the_same_wherever_it_stands(
    query: str, headers: dict[str, str]
) -> None:
    async with running(app_for(lambda payload, context: {"thread": context.thread_id})) as app:
        async with post(app, f"/invoke{query}", {}, headers=headers) as exchange:
            assert (await exchange.json())["output"] == {"thread": "✓-é"}


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?thread_id=%E9", {}), ("", {"x-thread-id": "é"})],
)
async def test_a_thread_id_that_is_not_utf_8_is_latin_1(
    query: str, headers: dict[str, str]
) -> None:
    async with running(app_for(lambda payload, context: {"thread": context.thread_id})) as app:
        async with post(app, f"/invoke{query}", {}, headers=headers) as exchange:
            assert (await exchange.json())["output"] == {"thread": "é"}


async def test_callers_choose_run_and_thread_ids() -> None:
    async def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        return {"run": context.run_id, "thread": context.thread_id}

    async with running(app_for(agent)) as app:
        async with post(app, "/invoke?run_id=mine&thread_id=t1", {}) as exchange:
            by_query = await exchange.json()
        headers = {"X-Run-ID": "other", "X-Thread-ID": "t2"}
        async with post(app, "/invoke", {}, headers=headers) as exchange:
            by_header = await exchange.json()
        async with post(app, "/invoke", {}) as exchange:
            by_nobody = await exchange.json()
    assert by_query["output"] == {"run": "mine", "thread": "t1"}
    assert by_header["output"] == {"run": "other", "thread": "t2"}
    assert (
        by_nobody["output"]["thread"] == by_nobody["output"]["run"] == exchange.headers["x-run-id"]
    )


@pytest.mark.parametrize("run_id", ["-a", "a b", "a" * 129, "a.b", "", "a%0a"])
async def test_a_malformed_run_id_is_refused(run_id: str) -> None:
    from urllib.parse import quote

    async with running(app_for(speak)) as app:
        async with post(app, f"/invoke/stream?run_id={quote(run_id)}", {}) as exchange:
            answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (400, "VALIDATION_ERROR")
    assert answer["error"].startswith("run_id: ")


async def test_client_ids_can_be_off() -> None:
    app = app_for(speak, streaming={"allow_client_ids": False})
    async with running(app) as live, post(live, "/invoke?run_id=mine", {}) as exchange:
        answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (400, "VALIDATION_ERROR")


async def test_a_taken_run_id_is_a_conflict() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    async with running(app_for(agent)) as app:
        async with post(app, "/invoke/stream?run_id=mine", {}) as first:
            await first.receive()
            async with post(app, "/invoke?run_id=mine", {}) as second:
                answer = await second.json()
    assert (second.status, answer["code"]) == (409, "CONFLICT")


async def test_a_run_that_takes_too_long_ends_with_timeout_on_both_ways() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    app = app_for(agent, arguments={"timeout_sec": 0.05})
    with anyio.fail_after(5):
        async with running(app) as live:
            async with post(live, "/invoke/stream", {}) as exchange:
                events = [event async for event in exchange.events()]
            async with post(live, "/invoke", {}) as plain:
                answer = await plain.json()
    assert events[-1].event == "error"
    assert events[-1].json()["code"] == "TIMEOUT"
    assert (plain.status, answer["code"]) == (504, "TIMEOUT")


@pytest.mark.parametrize(("version", "asked"), [("1.0", ""), ("2", ""), ("1.1", "close")])
async def test_keep_alive_is_not_said_where_it_would_be_wrong(version: str, asked: str) -> None:
    headers = {"connection": asked} if asked else {}
    async with running(app_for(speak)) as app:

        async def with_version(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "http_version": version}, receive, send)

        async with post(with_version, "/invoke/stream", {}, headers=headers) as exchange:
            await exchange.read()
    assert "connection" not in exchange.headers


async def test_streaming_can_be_switched_off() -> None:
    app = app_for(speak, expose={"streaming": "none"})
    async with running(app) as live:
        async with post(live, "/invoke/stream", {}) as stream:
            answer = await stream.json()
        async with post(live, "/invoke", {}) as plain:
            assert (await plain.json())["success"] is True
    assert (stream.status, answer["code"]) == (404, "NOT_FOUND")


async def test_users_middleware_wraps_the_invocation_paths() -> None:
    app = app_for(speak)

    class Tag:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def tagged(message: Any) -> None:
                if message["type"] == "http.response.start":
                    message["headers"].append((b"x-tag", b"1"))
                await send(message)

            await self.inner(scope, receive, tagged if scope["type"] == "http" else send)

    app.add_middleware(Tag)
    async with running(app) as live:
        async with post(live, "/invoke/stream", {}) as stream:
            await stream.read()
        async with request(live, "GET", "/health") as health:
            await health.read()
    assert stream.headers["x-tag"] == health.headers["x-tag"] == "1"


async def test_mounted_in_another_app_the_agent_loads_at_the_first_request() -> None:
    from fastapi import FastAPI

    outer = FastAPI()
    outer.mount("/agents/one", app_for(speak))
    with anyio.fail_after(5):
        async with post(outer, "/agents/one/invoke/stream", {}) as exchange:
            events = [event async for event in exchange.events()]
        async with request(outer, "GET", "/agents/one/ready") as ready:
            assert json.loads(await ready.read())["status"] == "ready"
    assert [event.event for event in events] == ["started", "token", "token", "complete"]


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_drain_waits_until_the_closing_event_is_with_its_caller(wrapped: bool) -> None:
    agent = ScriptedAgent(["x"] * 3000)
    app = app_for(agent)
    if wrapped:

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    with anyio.fail_after(10):
        async with running(app) as live, post(live, "/invoke/stream", {}, window=1) as exchange:
            await exchange.head()
            draining = asyncio.ensure_future(app.state.dockrion.drain())
            events = [event.event async for event in exchange.events()]
            await draining
    assert events == ["started", *["token"] * 3000, "complete"]


async def test_an_app_can_be_started_again() -> None:
    app = app_for(speak)
    for _ in range(2):
        async with running(app) as live, post(live, "/invoke", {}) as exchange:
            assert (await exchange.json())["success"] is True


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("file:/home/u/app/x.py", "x.py"),
        ("sqlite:////home/u/app/x.db", "x.db"),
        ("open:/etc/app/conf.yaml failed", "open:conf.yaml failed"),
        ("PATH=/opt/a/b:/usr/local/bin", "PATH=b:bin"),
        (r"path:C:\Users\bob\x and \\srv\share\y", "path:x and y"),
        ("see https://host.example/a/b?c=/d/e/f now", "see https://host.example/a/b?c=/d/e/f now"),
        ("either/or and 1/2/3", "either/or and 1/2/3"),
    ],
)
async def test_folders_are_cut_off_paths_and_addresses_stay(raised: str, told: str) -> None:
    agent = ScriptedAgent([ValueError(raised)])
    async with running(app_for(agent)) as app, post(app, "/invoke", {}) as exchange:
        error = (await exchange.json())["error"]
    assert error.endswith(told)
    assert "/home" not in error
