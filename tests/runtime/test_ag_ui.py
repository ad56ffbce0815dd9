"""`POST /ag-ui` as a page sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from dockrion.events.context import StreamContext
from dockrion.testing import Exchange, ScriptedAgent, app_for, post, read_sse, request, running
from tests.runtime.resuming.kit import each_rest

ASKED: dict[str, Any] = {
    "threadId": "t",
    "runId": "r",
    "messages": [{"id": "1", "role": "user", "content": "hi"}],
    "tools": [],
    "context": [],
}


def served(agent: Any, **sections: Any) -> FastAPI:
    return app_for(agent, expose={"protocols": ["ag-ui"]}, **sections)


async def events(exchange: Exchange) -> list[dict[str, Any]]:
    return [event.json() for event in read_sse(await exchange.read())]


def text_of(given: list[dict[str, Any]]) -> str:
    return "".join(event["delta"] for event in given if event["type"] == "TEXT_MESSAGE_CONTENT")


async def ask(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    answer = await context.ask("Really?")
    yield f"You said {answer} in {context.thread_id}."


def answer_to(asked: list[dict[str, Any]], **answer: Any) -> dict[str, Any]:
    [question] = asked[-1]["outcome"]["interrupts"]
    return {**ASKED, "runId": "r2", "resume": [{"interruptId": question["id"], **answer}]}


async def test_a_question_is_answered_by_the_next_run_of_the_page() -> None:
    async with running(served(ask)) as app:
        async with post(app, "/ag-ui", ASKED) as exchange:
            asked = await events(exchange)
        body = answer_to(asked, status="resolved", payload="yes")
        async with post(app, "/ag-ui", {**body, "threadId": "other"}) as other:
            await other.read()
        async with post(app, "/ag-ui", body) as resumed:
            rest = await events(resumed)
        async with post(app, "/ag-ui", body) as again:
            refused = await again.json()
    assert text_of(asked) == "Well. "
    assert resumed.headers["x-run-id"] == exchange.headers["x-run-id"]
    assert text_of(rest) == "You said yes in t."
    assert (rest[0]["type"], rest[0]["runId"], rest[-1]["runId"]) == ("RUN_STARTED", "r2", "r2")
    assert rest[-1]["outcome"] == {"type": "success"}
    assert (other.status, again.status, refused["code"]) == (400, 409, "CONFLICT")
    assert refused["type"] == "RUN_ERROR"


async def test_who_would_not_answer_cancels_the_run() -> None:
    async with running(served(ask)) as app:
        async with post(app, "/ag-ui", ASKED) as exchange:
            asked = await events(exchange)
        async with post(app, "/ag-ui", answer_to(asked, status="cancelled")) as given_up:
            rest = await events(given_up)
        run_id = exchange.headers["x-run-id"]
        async with request(app, "GET", f"/runs/{run_id}") as looked_at:
            assert (await looked_at.json())["status"] == "CANCELLED"
    assert rest[-1]["outcome"] == {"type": "cancelled"}


async def test_an_answer_must_be_for_the_questions_that_are_open() -> None:
    async with running(served(ask)) as app:
        async with post(app, "/ag-ui", ASKED) as exchange:
            asked = await events(exchange)
        body = answer_to(asked, status="resolved", payload="yes")
        known = body["resume"][0]["interruptId"]
        body["resume"][0]["interruptId"] = f"{known}x"
        async with post(app, "/ag-ui", body) as wrong:
            error = await wrong.json()
        body["resume"][0]["interruptId"] = "unknown:x"
        async with post(app, "/ag-ui", body) as unknown:
            await unknown.read()
    assert (wrong.status, unknown.status) == (400, 404)
    assert error["message"] == f"resume: must answer {known.partition(':')[2]}, and nothing else"


@pytest.mark.parametrize("run_id", ["x" * 9000, "\0", "a b", "{x}"])
async def test_what_is_no_id_of_a_run_is_looked_for_nowhere(run_id: str) -> None:
    app = served(ask)
    answer = {"interruptId": f"{run_id}:x", "status": "resolved", "payload": 1}
    async with running(app):
        async with post(app, "/ag-ui", {**ASKED, "resume": [answer]}) as exchange:
            error = await exchange.json()
    assert (exchange.status, error["code"]) == (404, "NOT_FOUND")
    assert error["message"] == f"There is no run {run_id[:128]!r}."


async def test_policies_and_keys_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "right")
    safety = {"redact_patterns": ["sec.?ret"]}
    agent = ScriptedAgent(["a sec", "ret b"])
    app = served(agent, policies={"safety": safety}, auth={"mode": "api_key"})
    async with running(app):
        async with post(app, "/ag-ui", b"{") as exchange:
            refused = await exchange.json()
        async with post(app, "/ag-ui", ASKED, headers={"x-api-key": "right"}) as let_in:
            given = await events(let_in)
    assert (exchange.status, refused["type"]) == (401, "RUN_ERROR")
    assert text_of(given) == "a [REDACTED] b"


async def test_the_filter_decides_what_is_told_beside_the_text() -> None:
    agent = ScriptedAgent([{"type": "progress", "step": "p", "progress": 0.5}, "text"])
    async with running(served(agent, streaming={"events": {"allowed": "minimal"}})) as app:
        async with post(app, "/ag-ui", ASKED) as exchange:
            given = await events(exchange)
    assert "CUSTOM" not in {event["type"] for event in given}
    assert text_of(given) == "text"


async def test_a_caller_who_leaves_stops_the_agent() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    with anyio.fail_after(5):
        async with running(served(agent)) as app:
            async with post(app, "/ag-ui", ASKED) as exchange:
                await exchange.receive()
            await agent.stopped.wait()


async def test_a_caller_who_leaves_after_an_answer_stops_the_agent() -> None:
    left = asyncio.Event()

    async def agent(_payload: Any, context: StreamContext) -> Any:
        await context.ask("Really?")
        yield "on"
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with anyio.fail_after(5):
        async with running(served(agent)) as app:
            async with post(app, "/ag-ui", ASKED) as exchange:
                asked = await events(exchange)
            body = answer_to(asked, status="resolved", payload="yes")
            async with post(app, "/ag-ui", body) as resumed:
                await resumed.receive()
            await left.wait()
            run_id = exchange.headers["x-run-id"]
            async with request(app, "GET", f"/runs/{run_id}") as looked_at:
                assert (await looked_at.json())["status"] == "CANCELLED"


async def test_any_cut_of_a_held_stream_and_its_rest_are_the_stream() -> None:
    agent = ScriptedAgent([*"abc", {"type": "progress", "step": "p", "progress": 0.5}, *"de"])
    continues = {"connection": {"on_disconnect": "continue"}}
    async with running(served(agent, streaming=continues)) as app:
        await each_rest(app, "/ag-ui", ASKED, last=7)
    assert len(agent.payloads) == 1
