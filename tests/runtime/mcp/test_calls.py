"""Calls that are cancelled, left, and come back to."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import post, read_sse, request, running
from tests.runtime.mcp.kit import (
    CONTINUES,
    OLD,
    STREAM,
    calls,
    next_message,
    of_2026,
    rpc,
    sent,
    served,
    session,
    speak,
    text_of,
)


class Gate:
    """An agent that says something and waits."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, payload: Any, context: StreamContext) -> Any:
        try:
            await context.emit_progress("one", 0.1)
            await self.open.wait()
            await context.emit_progress("two", 0.2)
            return {"done": True}
        finally:
            self.left.set()


def cancelled(request_id: Any) -> dict[str, Any]:
    params = {"requestId": request_id, "reason": "enough"}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


PROGRESS: dict[str, Any] = {"_meta": {"progressToken": "p"}}


@pytest.mark.parametrize("streaming", [{}, CONTINUES])
async def test_a_notification_cancels_the_call_of_its_session_alone(streaming: Any) -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=streaming)) as app:
        one, two = await session(app), await session(app)
        async with post(app, "/mcp", calls(1, **PROGRESS), headers=one) as exchange:
            await exchange.receive()
            for headers in (two, OLD):
                assert (await sent(app, cancelled(1), headers))[0] == 202
            for other in (2, "1", None):
                assert (await sent(app, cancelled(other), one))[0] == 202
            assert not gate.left.is_set()
            assert (await sent(app, cancelled(1), one))[0] == 202
            with anyio.fail_after(2):
                *_, last = [event.json() for event in read_sse(await exchange.read())]
                await gate.left.wait()
        late = await sent(app, cancelled(1), one)
    assert text_of(last) == "CANCELLED: The run was cancelled: The caller has cancelled the call."
    assert late[0] == 202


async def test_who_goes_away_ends_the_run() -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait)) as app:
        body, headers = of_2026(calls(1, **PROGRESS))
        async with post(app, "/mcp", body, headers={**headers, **STREAM}) as exchange:
            await exchange.receive()
        with anyio.fail_after(2):
            await gate.left.wait()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
async def test_who_comes_back_goes_on_with_the_run(method: str, version: str) -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=CONTINUES)) as app:
        body, headers = calls(9, **PROGRESS), {"MCP-Protocol-Version": version}
        if version == "2026-07-28":
            body, headers = of_2026(body)
        async with post(app, "/mcp", body, headers={**headers, **STREAM}) as exchange:
            seen = read_sse(await exchange.receive())
            while not seen[-1].data:
                seen += read_sse(await exchange.receive())
        gate.open.set()
        back = {**headers, "Last-Event-ID": seen[-1].id}
        async with request(app, method, "/mcp", body=body, headers=back) as again:
            rest = read_sse(await again.read())
        async with request(
            app, "GET", "/mcp", headers={**headers, "Last-Event-ID": rest[-1].id}
        ) as over:
            assert await over.read() == b""
    assert [bool(event.data) for event in seen] == (
        [True] if version < "2025-11-25" else [False, True]
    )
    assert [event.json().get("id") for event in rest] == [None, 9]
    assert rest[0].json()["params"] == {
        "progressToken": "p",
        "progress": 0.2,
        "total": 1,
        "message": "two",
    }
    assert rest[1].json()["result"]["structuredContent"] == {"done": True}
    assert (again.status, over.status) == (200, 204)
    assert again.headers["x-run-id"] == exchange.headers["x-run-id"]


async def test_a_stream_that_another_process_can_go_on_with_ends_without_a_response() -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=CONTINUES)) as app:
        async with post(app, "/mcp", calls(**PROGRESS), headers={**OLD, **STREAM}) as exchange:
            message = await next_message(exchange)
            # As at the end of a process that only follows the run.
            app.state.dockrion.runs.channels.close_readers()
            rest = await exchange.read()
        gate.open.set()
    assert message["method"] == "notifications/progress"
    assert rest == b""


@pytest.mark.parametrize(
    ("last_event_id", "status"),
    [
        ("x", 400),
        ("run:1", 400),
        ("run:1:WzFd!", 400),
        ("run:1:e30", 400),
        ("run:1:WzFd", 400),
        ("run:1:WzEsbnVsbCwwXQ", 410),
    ],
)
async def test_whatever_else_is_come_back_to_is_refused(last_event_id: str, status: int) -> None:
    async with running(served(speak)) as app:
        headers = {**OLD, "Last-Event-ID": last_event_id}
        async with request(app, "GET", "/mcp", headers=headers) as exchange:
            answer = await exchange.json()
    assert (exchange.status, answer["jsonrpc"]) == (status, "2.0")


async def test_a_call_that_waits_for_its_turn_can_be_come_back_to_at_once() -> None:
    gate = Gate()
    sections = {"expose": {"limits": {"max_concurrency": 1}}, "streaming": CONTINUES}

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    with anyio.fail_after(10):
        async with running(served(wait, **sections)) as app:
            headers = {**OLD, **STREAM}
            async with post(app, "/mcp", calls(**PROGRESS), headers=headers) as busy:
                await next_message(busy)
                async with post(app, "/mcp", calls(2), headers=headers) as waiting:
                    raw = await waiting.receive()
                [opening] = read_sse(raw)
                back = {**headers, "Last-Event-ID": opening.id}
                async with request(app, "GET", "/mcp", headers=back) as again:
                    gate.open.set()
                    rest = read_sse(await again.read())
    assert opening.data == ""
    assert b"retry: 1000\n" in raw
    assert rest[-1].json()["id"] == 2
    assert rest[-1].json()["result"]["structuredContent"] == {"done": True}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_comes_back_in_a_revision_that_is_not_spoken_is_refused(method: str) -> None:
    async with running(served(speak, streaming=CONTINUES)) as app:
        async with post(app, "/mcp", calls(), headers={**OLD, **STREAM}) as exchange:
            [first, *_] = read_sse(await exchange.read())
        headers = {"MCP-Protocol-Version": "1999-01-01", "Last-Event-ID": first.id}
        async with request(app, method, "/mcp", headers=headers) as back:
            answer = await back.json()
    assert (back.status, answer["error"]["code"]) == (400, -32022)


async def test_a_subscription_says_that_nothing_changes_here() -> None:
    async with running(served(speak)) as app:
        body, headers = of_2026(rpc("subscriptions/listen", 5, notifications={"x": True}))
        _, told, _ = await sent(app, body, headers)
    acknowledged, ended = told
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {}
    key = "io.modelcontextprotocol/subscriptionId"
    assert acknowledged["params"]["_meta"][key] == ended["result"]["_meta"][key] == ended["id"] == 5
