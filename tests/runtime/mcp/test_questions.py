"""Questions of the agent, as clients of each revision answer them."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from dockrion.events.context import StreamContext
from dockrion.testing import post, read_sse, request, running
from tests.adapters.graphs import State, agent_of, graph_of
from tests.runtime.mcp.kit import (
    CONTINUES,
    FORMS,
    OLD,
    STREAM,
    accept,
    ask,
    calls,
    next_event,
    next_message,
    of_2026,
    sent,
    served,
    session,
    text_of,
)


async def test_answers_come_with_the_next_call_of_2026() -> None:
    async with running(served(ask)) as app:
        body, headers = of_2026(calls(1), capabilities=FORMS)
        _, asked, first = await sent(app, body, headers)
        result = asked["result"]
        [(interrupt_id, question)] = result["inputRequests"].items()
        again = {"requestState": result["requestState"]}
        nothing = await sent(app, *of_2026(calls(2, **again), capabilities=FORMS))
        answers = {interrupt_id: {"action": "accept", "content": {"answer": "yes"}}}
        retry = calls(3, **again, inputResponses=answers)
        body, headers = of_2026(retry, capabilities=FORMS)
        _, told, second = await sent(app, body, headers)
        _, repeated, _ = await sent(app, body, {**headers, **STREAM})
    assert result["resultType"] == "input_required"
    assert question["method"] == "elicitation/create"
    assert (question["params"]["mode"], question["params"]["message"]) == ("form", "Really?")
    assert nothing[1]["result"]["inputRequests"] == result["inputRequests"]
    assert nothing[1]["id"] == 2
    assert (told["id"], text_of(told)) == (3, "You said yes.")
    assert first.headers["x-run-id"] == second.headers["x-run-id"]
    assert (repeated["id"], text_of(repeated)) == (3, "You said yes.")


async def test_who_would_not_answer_hears_the_same_however_often_they_call() -> None:
    async with running(served(ask)) as app:
        body, headers = of_2026(calls(1), capabilities=FORMS)
        _, asked, _ = await sent(app, body, headers)
        answers = {key: {"action": "decline"} for key in asked["result"]["inputRequests"]}
        declined = calls(2, requestState=asked["result"]["requestState"], inputResponses=answers)
        body, headers = of_2026(declined, capabilities=FORMS)
        told = [(await sent(app, body, headers))[1] for _ in range(2)]
    assert told[0] == told[1]
    assert told[0]["result"]["isError"]
    assert text_of(told[0]) == "CANCELLED: The run was cancelled: The user would not answer."


@pytest.mark.parametrize("state", ["nobody", "a/b", "x" * 200, 1])
async def test_a_state_that_is_made_up_leads_nowhere(state: Any) -> None:
    async with running(served(ask)) as app:
        status, answer, _ = await sent(app, *of_2026(calls(requestState=state, inputResponses={})))
    assert (status, answer["error"]["code"]) == (
        (400, -32602) if isinstance(state, int) else (404, 404)
    )


async def test_what_another_caller_was_asked_is_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A", "a")
    monkeypatch.setenv("B", "b")
    keys = [{"name": "a", "env_var": "A"}, {"name": "b", "env_var": "B"}]
    auth = {"mode": "api_key", "api_keys": {"keys": keys}}
    async with running(served(ask, auth=auth)) as app:
        body, headers = of_2026(calls(), capabilities=FORMS)
        _, asked, _ = await sent(app, body, {**headers, "X-API-Key": "a"})
        state = asked["result"]["requestState"]
        [interrupt_id] = asked["result"]["inputRequests"]
        yes = {interrupt_id: {"action": "accept", "content": {"answer": "yes"}}}
        body, headers = of_2026(calls(2, requestState=state, inputResponses=yes))
        others = await sent(app, body, {**headers, "X-API-Key": "b"})
        response = {"jsonrpc": "2.0", "id": f"{state}:{interrupt_id}", "result": yes[interrupt_id]}
        old = await sent(app, response, {**OLD, "X-API-Key": "b"})
        own = await sent(app, response, {**OLD, "X-API-Key": "a"})
        twice = await sent(app, response, {**OLD, "X-API-Key": "a"})
    assert (others[0], old[0], own[:2], twice[0]) == (404, 404, (202, None), 409)


async def test_a_question_keeps_the_stream_of_an_older_client_open() -> None:
    async with running(served(ask)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(7), headers=headers) as exchange:
            [question] = [event.json() for event in read_sse(await exchange.receive())]
            answer = {"action": "accept", "content": {"answer": "yes"}}
            response = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
            status, _, _ = await sent(app, response, headers)
            rest = [event.json() for event in read_sse(await exchange.read())]
    assert question["method"] == "elicitation/create"
    assert status == 202
    assert [(one["id"], text_of(one)) for one in rest] == [(7, "You said yes.")]


@pytest.mark.parametrize("streaming", [{}, CONTINUES], ids=["unkept", "kept"])
async def test_a_graph_goes_on_after_the_answers(streaming: Any) -> None:
    def one(state: State) -> dict[str, Any]:
        return {"notes": [interrupt("One?")]}

    def two(state: State) -> dict[str, Any]:
        return {"notes": [interrupt({"ask": "Two?"})]}

    graph = await agent_of(graph_of(one, two, checkpointer=InMemorySaver()))
    payload = {"query": "q", "notes": []}
    async with running(served(graph, streaming=streaming)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(arguments=payload), headers=headers) as exchange:
            for answer in ("a", "b"):
                question = await next_message(exchange)
                result = {"action": "accept", "content": {"answer": answer}}
                message = {"jsonrpc": "2.0", "id": question["id"], "result": result}
                assert (await sent(app, message, headers))[0] == 202
            old = await next_message(exchange)
        answers: Any = {}
        while True:
            call = calls(arguments=payload, **answers)
            _, new, _ = await sent(app, *of_2026(call, capabilities=FORMS))
            if new["result"]["resultType"] == "complete":
                break
            given = {"action": "accept", "content": {"answer": str(len(answers))}}
            answers = {
                "requestState": new["result"]["requestState"],
                "inputResponses": dict.fromkeys(new["result"]["inputRequests"], given),
            }
    assert old["result"]["structuredContent"]["notes"] == ["a", "b"]
    assert new["result"]["structuredContent"]["notes"] == ["0", "2"]


async def test_one_question_after_the_other_is_asked_once_each() -> None:
    async def insist(payload: Any, context: StreamContext) -> Any:
        return {"answers": [await context.ask("One?"), await context.ask("Two?")]}

    async with running(served(insist)) as app:
        headers = await session(app, capabilities=FORMS)
        asked: list[str] = []
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            for answer in ("a", "b"):
                [question] = [event.json() for event in read_sse(await exchange.receive())]
                asked.append(question["params"]["message"])
                result = {"action": "accept", "content": {"answer": answer}}
                await sent(app, {"jsonrpc": "2.0", "id": question["id"], "result": result}, headers)
            [last] = [event.json() for event in read_sse(await exchange.read())]
    assert asked == ["One?", "Two?"]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


async def test_who_comes_back_is_not_asked_what_has_been_answered() -> None:
    async def insist(payload: Any, context: StreamContext) -> Any:
        return {"answers": [await context.ask("One?"), await context.ask("Two?")]}

    async with running(served(insist, streaming=CONTINUES)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            one = await next_event(exchange)
            await accept(app, one.json(), "a", headers)
            await next_message(exchange)
        back = {**headers, "Last-Event-ID": one.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            [two] = [event.json() for event in read_sse(await again.receive())]
            assert two["params"]["message"] == "Two?"
            assert await accept(app, two, "b", headers) == 202
            [last] = [event.json() for event in read_sse(await again.read())]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


async def test_who_comes_back_between_two_questions_is_asked_the_other() -> None:
    async def both(payload: Any, context: StreamContext) -> Any:
        return {"answers": await asyncio.gather(context.ask("One?"), context.ask("Two?"))}

    async with running(served(both, streaming=CONTINUES)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            events = [event for event in read_sse(await exchange.receive()) if event.data]
            while len(events) < 2:
                events += [event for event in read_sse(await exchange.receive()) if event.data]
        one, two = events
        back = {**headers, "Last-Event-ID": one.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            assert await next_message(again) == two.json()
        back = {**headers, "Last-Event-ID": two.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            assert await accept(app, one.json(), "a", headers) == 202
            assert await accept(app, two.json(), "b", headers) == 202
            [last] = [event.json() for event in read_sse(await again.read())]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


@pytest.mark.parametrize(
    ("capabilities", "sections", "says"),
    [
        ({}, {}, "POST /runs/"),
        ({"elicitation": {"url": {}}}, {}, "POST /runs/"),
        (FORMS, {"streaming": {"async_runs": False}}, "it cannot be answered"),
    ],
)
async def test_who_cannot_be_asked_is_told_that_the_agent_waits(
    capabilities: Any, sections: Any, says: str
) -> None:
    async with running(served(ask, **sections)) as app:
        headers = await session(app, capabilities=capabilities)
        _, [old], _ = await sent(app, calls(), headers)
        _, new, _ = await sent(app, *of_2026(calls(), capabilities=capabilities))
    for answer in (old, new):
        assert answer["result"]["isError"]
        assert "Really?" in text_of(answer)
        assert says in text_of(answer)


async def test_who_leaves_a_question_can_answer_it_later() -> None:
    async with running(served(ask)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            [question] = [event.json() for event in read_sse(await exchange.receive())]
        answer = {"action": "accept", "content": {"answer": "yes"}}
        response = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
        assert (await sent(app, response, headers))[0] == 202
        run_id = exchange.headers["x-run-id"]
        with anyio.fail_after(2):
            while True:
                async with request(app, "GET", f"/runs/{run_id}") as looked_at:
                    record = await looked_at.json()
                if record["status"] == "COMPLETED":
                    break
    assert record["output"] == {"content": "You said yes."}
