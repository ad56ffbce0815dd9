"""`GET /runs/{run_id}/events`: replays, live events, places to begin at, and how a subscription ends."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.errors import ShuttingDownError
from dockrion.events.context import StreamContext
from dockrion.runs.store.base import StoreError
from dockrion.testing import ScriptedAgent, SSEReader, app_for, read_sse, request, running
from tests.runtime.runs.kit import (
    ask,
    becomes,
    events_of,
    receive_until,
    sequences,
    started,
    until,
)

NO_GRACE = {"shutdown_grace": 0.05}
SILENT = {"events": {"heartbeat_interval": 300}}


def saying(*words: str) -> ScriptedAgent:
    return ScriptedAgent([*words, {"done": True}])


async def asks(payload: Any, context: StreamContext) -> Any:
    return {"answer": await context.ask(payload)}


async def test_a_finished_run_is_replayed_as_a_direct_stream_is_written() -> None:
    async with running(app_for(saying("a", "b"))) as app:
        run_id = await started(app)
        await becomes(app, run_id, "COMPLETED")
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            body = await one.read()
    assert one.headers["content-type"] == "text/event-stream"
    assert one.headers["cache-control"] == "no-cache"
    assert one.headers["x-accel-buffering"] == "no"
    assert one.headers["connection"] == "keep-alive"
    assert one.headers["x-run-id"] == run_id
    assert one.headers["x-request-id"]
    events = list(read_sse(body))
    assert [event.event for event in events] == ["started", "token", "token", "complete"]
    assert [event.id for event in events] == [f"{run_id}:{n}" for n in range(4)]
    assert body.startswith(b"retry: 1000\nevent: started\ndata: ")
    assert body.count(b"retry:") == 1


async def test_stored_events_come_first_and_then_live_ones_each_once() -> None:
    go_on = asyncio.Event()
    agent = ScriptedAgent(["a", "b", go_on, "c", {"done": True}])
    async with running(app_for(agent)) as app:
        run_id = await started(app)
        async with (
            request(app, "GET", f"/runs/{run_id}/events") as one,
            request(app, "GET", f"/runs/{run_id}/events?from_sequence=2") as other,
        ):
            before = await receive_until(one, b'"content":"b"')
            go_on.set()
            first = list(read_sse(before + await one.read()))
            second = list(read_sse(await other.read()))
    assert sequences(first) == [0, 1, 2, 3, 4]
    assert sequences(second) == [2, 3, 4]


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ("", {}, [0, 1, 2, 3]),
        ("?from_sequence=0", {}, [0, 1, 2, 3]),
        ("?from_sequence=3", {}, [3]),
        ("", {"Last-Event-ID": "r:0"}, [1, 2, 3]),
        ("", {"Last-Event-ID": "1"}, [2, 3]),
        ("?from_sequence=0", {"Last-Event-ID": "r:2"}, [3]),
    ],
)
async def test_a_reader_begins_where_it_wants_to(
    query: str, headers: dict[str, str], expected: list[int]
) -> None:
    async with running(app_for(saying("a", "b"))) as app:
        run_id = await started(app, {}, "/runs?run_id=r")
        await becomes(app, run_id, "COMPLETED")
        assert sequences(await events_of(app, run_id, query, headers)) == expected


@pytest.mark.parametrize(
    ("query", "headers", "status", "says"),
    [
        ("", {"Last-Event-ID": "other:1"}, 400, "Last-Event-ID: must be r:<sequence> or <seq"),
        ("", {"Last-Event-ID": "r:"}, 400, "Last-Event-ID: must be"),
        ("", {"Last-Event-ID": "-1"}, 400, "Last-Event-ID: must be"),
        ("", {"Last-Event-ID": ""}, 400, "Last-Event-ID: must be"),
        ("", {"Last-Event-ID": "1" * 19}, 400, "Last-Event-ID: must be"),
        ("", {"Last-Event-ID": "r:4"}, 410, "Last-Event-ID: the run 'r' has no event 4 (yet)."),
        ("?from_sequence=-1", {}, 400, "from_sequence: must be the number of an event, 0 or"),
        ("?from_sequence=x", {"Last-Event-ID": "r:0"}, 400, "from_sequence: must be"),
        ("?from_sequence=5", {}, 410, "from_sequence: the run 'r' has no event 4 (yet)."),
        ("?timeout=0", {}, 400, "timeout: must be a number of seconds from 1 to 3600, got '0'"),
        ("?timeout=0.9", {}, 400, "timeout: must be"),
        ("?timeout=3600.5", {}, 400, "timeout: must be"),
        ("?timeout=inf", {}, 400, "timeout: must be"),
        ("?timeout=", {}, 400, "timeout: must be"),
    ],
)
async def test_a_place_or_time_that_is_none_is_refused(
    query: str, headers: dict[str, str], status: int, says: str
) -> None:
    async with running(app_for(saying("a", "b"))) as app:
        await becomes(app, await started(app, {}, "/runs?run_id=r"), "COMPLETED")
        answer = await ask(app, "GET", f"/runs/r/events{query}", headers=headers)
    code = {400: "VALIDATION_ERROR", 410: "GONE"}[status]
    assert (answer.status, answer.body["code"]) == (status, code)
    assert answer.body["error"].startswith(says)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"Last-Event-ID": "r:3"}),
        ("", {"Last-Event-ID": "3"}),
        ("?from_sequence=4", {}),
    ],
)
async def test_who_has_seen_the_terminal_event_gets_204(
    query: str, headers: dict[str, str]
) -> None:
    async with running(app_for(saying("a", "b"))) as app:
        await becomes(app, await started(app, {}, "/runs?run_id=r"), "COMPLETED")
        answer = await ask(app, "GET", f"/runs/r/events{query}", headers=headers)
    assert (answer.status, answer.body, answer.headers["x-run-id"]) == (204, None, "r")


async def test_who_is_up_to_date_waits_for_what_comes() -> None:
    go_on = asyncio.Event()
    async with running(app_for(ScriptedAgent(["a", go_on, "b", {"done": True}]))) as app:
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            await receive_until(one, b'"content":"a"')
        headers = {"Last-Event-ID": f"{run_id}:1"}
        async with request(app, "GET", f"/runs/{run_id}/events", headers=headers) as other:
            await other.head()
            go_on.set()
            body = await other.read()
    assert sequences(list(read_sse(body))) == [2, 3]
    assert body.startswith(b"retry: 1000\nevent: token\n")


async def test_the_time_of_a_subscription_ends_it_and_not_the_run() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    connection = {"connection": {"default_timeout": 1}}
    async with running(app_for(agent, streaming=connection, expose=NO_GRACE)) as app:
        run_id = await started(app)
        *_, last = await events_of(app, run_id)
        assert agent.running == 1
        again = await events_of(app, run_id, "?timeout=1.25", {"Last-Event-ID": f"{run_id}:1"})
    data = last.json()
    assert (last.event, last.id) == ("timeout", f"{run_id}:1")
    assert data == {"type": "timeout", "run_id": run_id, "timestamp": data["timestamp"]}
    assert [event.event for event in again] == ["timeout"]


async def test_a_busy_run_does_not_outlast_the_time_of_a_subscription() -> None:
    async def busy(payload: Any) -> Any:
        while True:
            yield "x" * 100
            await asyncio.sleep(0)

    async with running(app_for(busy)) as app:
        run_id = await started(app)
        events = await events_of(app, run_id, "?timeout=1")
        await ask(app, "DELETE", f"/runs/{run_id}")
    assert events[-1].event == "timeout"
    assert sequences(events[:-1]) == list(range(len(events) - 1))


async def test_the_terminal_event_is_the_last_even_when_the_time_is_over() -> None:
    async with running(app_for(saying("a"))) as app:
        run_id = await started(app)
        await becomes(app, run_id, "COMPLETED")
        async with request(app, "GET", f"/runs/{run_id}/events?timeout=1", window=1) as slow:
            await slow.head()
            await asyncio.sleep(0)
            events = [event.event async for event in slow.events()]
    assert events[-1] == "complete"


async def test_events_that_are_kept_no_more_are_a_gap() -> None:
    memory = {"memory": {"max_events_per_run": 10}}
    async with running(app_for(saying(*"abcdefghijklmnopqrst"), streaming=memory)) as app:
        run_id = await started(app)
        await becomes(app, run_id, "COMPLETED")
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            body = await one.read()
    gap, *rest = list(read_sse(body))
    data = gap.json()
    first = sequences(rest)[0]
    assert first > 0
    assert (gap.event, gap.id) == ("gap", "")
    assert data == {
        "type": "gap",
        "run_id": run_id,
        "timestamp": data["timestamp"],
        "from": 0,
        "to": first - 1,
    }
    assert sequences(rest) == list(range(first, 22))
    # The first event that is one of the run.
    assert body.index(b"retry:") > body.index(b"event: gap")


async def test_a_subscription_goes_on_over_a_question() -> None:
    async with running(app_for(asks, streaming=SILENT, expose=NO_GRACE)) as app:
        run_id = await started(app, "sure?")
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            before = await receive_until(one, b"event: interrupt")
            await becomes(app, run_id, "INTERRUPTED")
            assert (await ask(app, "POST", f"/runs/{run_id}/resume", "yes")).status == 202
            events = list(read_sse(before + await one.read()))
    assert [event.event for event in events] == ["started", "interrupt", "complete"]
    assert sequences(events) == [0, 1, 2]


async def test_who_has_seen_the_question_waits_for_the_answer() -> None:
    async with running(app_for(asks, streaming=SILENT, expose=NO_GRACE)) as app:
        run_id = await started(app, "sure?")
        await becomes(app, run_id, "INTERRUPTED")
        headers = {"Last-Event-ID": f"{run_id}:1"}
        async with request(app, "GET", f"/runs/{run_id}/events", headers=headers) as one:
            await one.head()
            assert one.status == 200
            await ask(app, "POST", f"/runs/{run_id}/resume", "yes")
            assert sequences([event async for event in one.events()]) == [2]


async def test_while_nothing_happens_there_are_heartbeats() -> None:
    agent = ScriptedAgent([asyncio.Event()])
    events = {"events": {"heartbeat_interval": 1}}
    async with running(app_for(agent, streaming=events, expose=NO_GRACE)) as app:
        run_id = await started(app)
        seen = await events_of(app, run_id, "?timeout=2.5")
    assert [event.event for event in seen] == ["started", "heartbeat", "heartbeat", "timeout"]
    assert seen[1].id == f"{run_id}:0"
    assert "sequence" not in seen[1].json()


async def test_heartbeats_are_comments_where_they_are_no_events() -> None:
    agent = ScriptedAgent([asyncio.Event()])
    events = {"events": {"heartbeat_interval": 1, "allowed": "chat"}}
    async with running(app_for(agent, streaming=events, expose=NO_GRACE)) as app:
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events?timeout=1.5") as one:
            body = await one.read()
    reader = SSEReader()
    assert [event.event for event in reader.feed(body)] == ["started", "timeout"]
    assert reader.comments == ["hb"]
    assert reader.retry == 1000


@pytest.mark.parametrize("connection", [{}, {"resume_window": 1}])
async def test_whoever_leaves_does_not_end_the_run(connection: Any) -> None:
    go_on = asyncio.Event()
    agent = ScriptedAgent(["a", go_on, {"done": True}])
    async with running(app_for(agent, streaming={"connection": connection})) as app:
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            await receive_until(one, b'"content":"a"')
        await until(lambda: app.state.dockrion.streams.open == 0)
        assert agent.running == 1
        go_on.set()
        await becomes(app, run_id, "COMPLETED")


async def test_past_the_limit_subscribers_are_refused_until_one_leaves() -> None:
    limit = {"connection": {"max_subscribers_per_run": 2}}
    async with running(
        app_for(ScriptedAgent(["a", asyncio.Event()]), streaming=limit, expose=NO_GRACE)
    ) as app:
        run_id = await started(app)
        path = f"/runs/{run_id}/events"
        async with request(app, "GET", path) as one:
            await receive_until(one, b"started")
            async with request(app, "GET", path) as two:
                await receive_until(two, b"started")
                refused = await ask(app, "GET", path)
            async with request(app, "GET", path) as three:
                await receive_until(three, b"started")
                assert three.status == 200
    assert refused.status == 429
    assert refused.body["detail"]["code"] == "TOO_MANY_SUBSCRIBERS"
    assert refused.headers["x-run-id"] == run_id
    assert refused.headers["retry-after"]


async def test_at_shutdown_a_subscription_ends_without_a_terminal_event_of_a_run_that_goes_on() -> (
    None
):
    async with running(app_for(asks, streaming=SILENT, expose=NO_GRACE)) as app:
        run_id = await started(app, "sure?")
        await becomes(app, run_id, "INTERRUPTED")
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            before = await receive_until(one, b"event: interrupt")
            drain = asyncio.ensure_future(app.state.dockrion.drain())
            with anyio.fail_after(5):
                rest = await one.read()
            await drain
    events = [event.event for event in read_sse(before + rest)]
    assert events[:2] == ["started", "interrupt"]


async def test_while_the_server_shuts_down_a_browser_that_comes_back_is_not_sent_away() -> None:
    go_on = asyncio.Event()
    agent = ScriptedAgent(["a", go_on, {"done": True}])
    async with running(app_for(agent, streaming=SILENT)) as app:
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            await receive_until(one, b'"content":"a"')
        drain = asyncio.ensure_future(app.state.dockrion.drain())
        await until(lambda: app.state.dockrion.draining)
        async with request(app, "GET", f"/runs/{run_id}/events") as other:
            await other.head()
            assert other.status == 200
            go_on.set()
            with anyio.fail_after(5):
                await other.read()
        await drain


async def test_open_subscriptions_are_active_streams_and_no_requests() -> None:
    async with running(app_for(ScriptedAgent(["a", asyncio.Event()]), expose=NO_GRACE)) as app:
        run_id = await started(app)
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            await receive_until(one, b"started")
            await ask(app, "GET", f"/runs/{run_id}")
            async with request(app, "GET", "/metrics") as exchange:
                text = (await exchange.read()).decode()
    counted = [line for line in text.splitlines() if line.startswith("dockrion_requests_total{")]
    assert len(counted) == 1
    assert 'endpoint="/runs",status="202"' in counted[0]
    assert "dockrion_active_streams 1.0" in text
    assert "dockrion_active_requests 0.0" in text


async def test_a_server_that_takes_no_more_subscriptions_answers_with_a_stream_that_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shutting_down(*_: Any, **__: Any) -> Any:
        raise ShuttingDownError("The server is shutting down.")

    async with running(app_for(saying("a"))) as app:
        run_id = await started(app)
        monkeypatch.setattr(app.state.dockrion.runs, "follow", shutting_down)
        async with request(app, "GET", f"/runs/{run_id}/events") as one:
            assert await one.read() == b""
    # To a browser 503 would mean that it must not come back.
    assert (one.status, one.headers["content-type"]) == (200, "text/event-stream")


async def test_while_the_backend_is_away_a_subscription_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def away(_run_id: str) -> Any:
        raise StoreError("The backend does not answer.")

    async with running(app_for(saying("a"))) as app:
        run_id = await started(app)
        await becomes(app, run_id, "COMPLETED")
        with monkeypatch.context() as patch:
            patch.setattr(app.state.dockrion.runs.store, "get", away)
            for path in (f"/runs/{run_id}/events", f"/runs/{run_id}"):
                answer = await ask(app, "GET", path)
                assert (answer.status, answer.body["code"]) == (503, "SERVICE_UNAVAILABLE")
                assert answer.headers["retry-after"]
