"""Tasks that are there: looked at, cancelled, followed again; and those that are not kept."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, post, read_sse, running
from tests.runtime.resuming.kit import each_rest

from .kit import Waits, ask, asking, call, get, said, said_by, served, state, texts


async def test_a_task_that_is_cancelled_stops_its_agent() -> None:
    agent = ScriptedAgent(["a", asyncio.Event()])
    async with running(served(agent)) as app:
        async with post(app, "/a2a", said(method="SendStreamingMessage")) as streaming:
            await streaming.receive()
            task_id = streaming.headers["x-run-id"]
            cancelled = await ask(app, call("CancelTask", id=task_id))
            await agent.stopped.wait()
            rest = [event.json()["result"] for event in read_sse(await streaming.read())]
        again = await ask(app, call("CancelTask", id=task_id))
        got = await get(app, task_id)
    assert (state(cancelled["result"]), state(got)) == ("CANCELED", "CANCELED")
    assert state(rest[-1]["statusUpdate"]) == "CANCELED"
    assert (again["error"]["code"], again["error"]["data"][0]["metadata"]) == (
        -32002,
        {"code": "CONFLICT"},
    )


async def test_a_task_goes_on_without_its_stream_and_is_followed_again_from_where_it_is() -> None:
    gate = asyncio.Event()

    async def gated(_payload: Any) -> Any:
        for word in "abc":
            yield word
        await gate.wait()
        for word in "def":
            yield word

    with anyio.fail_after(10):
        async with running(served(gated)) as app:
            async with post(app, "/a2a", said(method="SendStreamingMessage")) as streaming:
                seen = b""
                while b'"text":"c"' not in seen:
                    seen += await streaming.receive()
                task_id = streaming.headers["x-run-id"]
            halfway = await get(app, task_id)
            async with post(app, "/a2a", call("SubscribeToTask", id=task_id)) as following:
                first = read_sse(await following.receive())
                gate.set()
                rest = [event.json()["result"] for event in read_sse(await following.read())]
            late = await ask(app, call("SubscribeToTask", id=task_id))
            ended = await get(app, task_id)
    [task] = [event.json()["result"]["task"] for event in first]
    assert (state(halfway), texts(halfway)) == ("WORKING", ["abc"])
    assert texts(task)[0] + said_by(rest) == "abcdef"
    assert late["error"]["code"] == -32004
    assert texts(ended) == ["abcdef"]


async def test_any_cut_of_a_stream_and_its_rest_are_the_stream() -> None:
    agent = ScriptedAgent([*"abc", {"type": "progress", "step": "p", "progress": 0.5}, *"de"])
    body = said(method="SendStreamingMessage")
    async with running(served(agent)) as app:
        run_id = await each_rest(app, "/a2a", body, last=7)
        async with post(app, "/a2a", body, headers={"last-event-id": f"{run_id}:7"}) as exchange:
            await exchange.read()
    assert (exchange.status, len(agent.payloads)) == (204, 1)


async def test_nothing_is_told_of_the_tasks_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B"):
        monkeypatch.setenv(f"KEY_{name}", name)
    keys = [{"name": name, "env_var": f"KEY_{name}"} for name in ("A", "B")]
    app = served(asking, auth={"mode": "api_key", "api_keys": {"keys": keys}})
    async with running(app):
        task = (await ask(app, said(), x_api_key="A"))["result"]["task"]
        task_id = task["id"]
        refused = [
            await ask(app, body, x_api_key="B")
            for body in (
                call("GetTask", id=task_id),
                call("CancelTask", id=task_id),
                call("SubscribeToTask", id=task_id),
                said("yes", taskId=task_id),
                said("yes", method="message/stream", taskId=task_id, role="user"),
            )
        ]
        unknown = await ask(app, call("GetTask", id="unknown"), x_api_key="B")
        cursor = {"last_event_id": f"{task_id}:0", "x_api_key": "B"}
        gone = await ask(app, said(method="SendStreamingMessage"), **cursor)
        theirs = (await ask(app, call("ListTasks"), x_api_key="B"))["result"]
        still = await get(app, task_id, x_api_key="A")
    assert {one["error"]["code"] for one in refused} == {-32001}
    assert {one["error"]["message"].replace(task_id, "unknown") for one in refused} == {
        unknown["error"]["message"]
    }
    assert (gone["error"]["code"], theirs["tasks"]) == (-32001, [])
    assert state(still) == "INPUT_REQUIRED"


async def test_without_async_runs_tasks_are_not_found_again_and_the_error_says_why() -> None:
    app = served(asking, streaming={"async_runs": False})
    async with running(app):
        task = (await ask(app, said()))["result"]["task"]
        refused = [
            await ask(app, body)
            for body in (
                call("GetTask", id=task["id"]),
                call("CancelTask", id=task["id"]),
                call("SubscribeToTask", id=task["id"]),
                call("ListTasks"),
                said("yes", taskId=task["id"]),
                said(configuration={"returnImmediately": True}),
            )
        ]
    assert state(task) == "INPUT_REQUIRED"
    assert {one["error"]["code"] for one in refused} == {-32004}
    assert all("streaming.async_runs" in one["error"]["message"] for one in refused)


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_without_async_runs_a_caller_who_leaves_stops_the_agent(method: str) -> None:
    agent = Waits()
    with anyio.fail_after(5):
        async with running(served(agent.__call__, streaming={"async_runs": False})) as app:
            async with post(app, "/a2a", said(method=method)):
                await agent.started.wait()
            await agent.stopped.wait()


CONNECTIONS: list[dict[str, Any]] = [
    {},
    {"on_disconnect": "cancel"},
    {"on_disconnect": "cancel", "resume_window": 0.01},
    {"on_disconnect": "continue"},
]


@pytest.mark.parametrize("connection", CONNECTIONS, ids=str)
@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_a_caller_who_leaves_stops_no_task_that_is_kept(
    method: str, connection: dict[str, Any]
) -> None:
    agent = Waits()
    with anyio.fail_after(5):
        async with running(served(agent.__call__, streaming={"connection": connection})) as app:
            async with post(app, "/a2a", said(method=method)):
                await agent.started.wait()
            [task] = (await ask(app, call("ListTasks")))["result"]["tasks"]
            assert state(task) == "WORKING"
            assert not agent.stopped.is_set()
            await ask(app, call("CancelTask", id=task["id"]))
            await agent.stopped.wait()


@pytest.mark.parametrize("connection", CONNECTIONS, ids=str)
async def test_a_task_that_its_caller_has_left_is_followed_again_to_its_end(
    connection: dict[str, Any],
) -> None:
    """Before its question, and after the answer."""
    gates = [asyncio.Event(), asyncio.Event()]

    async def agent(payload: Any, context: StreamContext) -> Any:
        yield "a"
        await gates[0].wait()
        answer = await context.ask("Really?")
        yield answer
        await gates[1].wait()
        yield "c"

    async def left(app: Any, body: Any, after: str) -> str:
        async with post(app, "/a2a", body) as streaming:
            got = b""
            while f'"text":"{after}"'.encode() not in got:
                got += await streaming.receive()
        # Whoever looks after streams that nobody follows has done so by then.
        for _ in range(3):
            await asyncio.sleep(0.01)
        return streaming.headers["x-run-id"]

    async def followed(app: Any, task_id: str, gate: asyncio.Event) -> list[dict[str, Any]]:
        async with post(app, "/a2a", call("SubscribeToTask", id=task_id)) as following:
            first = await following.receive()
            gate.set()
            return [event.json()["result"] for event in read_sse(first + await following.read())]

    stream = "SendStreamingMessage"
    with anyio.fail_after(10):
        async with running(served(agent, streaming={"connection": connection})) as app:
            task_id = await left(app, said(method=stream), "a")
            asked = await followed(app, task_id, gates[0])
            await left(app, said("b", method=stream, taskId=task_id), "b")
            ended = await followed(app, task_id, gates[1])
            task = await get(app, task_id)
    assert state(asked[0]["task"]) == "WORKING"
    assert state(asked[-1]["statusUpdate"]) == "INPUT_REQUIRED"
    assert (texts(ended[0]["task"]), said_by(ended)) == (["ab"], "c")
    assert (state(task), texts(task)) == ("COMPLETED", ["abc"])


async def test_a_task_that_waits_for_its_turn_is_told_of_at_once() -> None:
    """So that its client can look at it, cancel it, and come back to it."""
    gate, begun = asyncio.Event(), asyncio.Event()

    async def agent(payload: Any) -> Any:
        begun.set()
        await gate.wait()
        yield "done"

    stream = said(method="SendStreamingMessage")
    one_at_once = {"limits": {"max_concurrency": 1}}
    with anyio.fail_after(10):
        async with running(served(agent, expose=one_at_once)) as app:
            await ask(app, said(configuration={"returnImmediately": True}))
            await begun.wait()
            async with post(app, "/a2a", stream) as first, post(app, "/a2a", stream) as second:
                whole = await first.receive()
                [opening] = read_sse(whole)
                task = opening.json()["result"]["task"]
                body = call("SubscribeToTask", id=task["id"])
                async with post(app, "/a2a", body) as following:
                    [told] = read_sse(await following.receive())
                cut = read_sse(await second.receive())[0].json()["result"]["task"]["id"]
                await ask(app, call("CancelTask", id=cut))
                cancelled = read_sse(await second.read())
                headers = {"last-event-id": opening.id}
                async with post(app, "/a2a", stream, headers=headers) as again:
                    gate.set()
                    rest = await again.read()
                whole += await first.read()
    assert state(task) == "SUBMITTED"
    assert task["status"].keys() == {"state", "timestamp"}
    assert told.json()["result"]["task"]["id"] == task["id"]
    assert [state(one.json()["result"]["statusUpdate"]) for one in cancelled] == ["CANCELED"]
    assert whole.endswith(rest)
    assert len(read_sse(whole)) == 1 + len(read_sse(rest))
    assert said_by([event.json()["result"] for event in read_sse(whole)]) == "done"
