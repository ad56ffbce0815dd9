"""What A2A's specification says that every server must do, in JSON-RPC, as far as it is not about one thing alone."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from a2a.types.a2a_pb2 import SendMessageResponse, StreamResponse, Task
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict

from dockrion.events.context import StreamContext
from dockrion.testing import post, read_sse, running

from .kit import ask, asking, call, get, said, served, state

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
V1 = {"a2a_version": "1.0"}


def values(data: Any, key: str) -> Iterator[Any]:
    """Give what stands under a name, wherever."""
    if isinstance(data, dict):
        for name, value in data.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(data, list):
        for one in data:
            yield from values(one, key)


def check(message: Any, data: Any) -> None:
    """Read it strictly, with all that is required; times are of UTC, and enumerations have names."""
    validate_proto_required_fields(ParseDict(data, message))
    assert all(UTC_TIME.fullmatch(one) for one in values(data, "timestamp"))
    assert all(one.startswith("TASK_STATE_") for one in values(data, "state"))


async def test_messages_and_tasks_have_the_shape_of_the_specification() -> None:
    async with running(served(asking)) as app:
        asked = await ask(app, said(tckUnknown=1, metadata={}), **V1)
        task_id = asked["result"]["task"]["id"]
        # The answer is waited for, and its context is that of the task.
        ended = await ask(app, said("yes", taskId=task_id), **V1)
        got = await ask(app, call("GetTask", id=task_id, unknown=[]), **V1)
    for answer in (asked, ended):
        assert answer.keys() == {"jsonrpc", "id", "result"}
        check(SendMessageResponse(), answer["result"])
    check(Task(), got["result"])
    assert [state(one["result"]["task"]) for one in (asked, ended)] == [
        "INPUT_REQUIRED",
        "COMPLETED",
    ]
    assert ended["result"]["task"]["contextId"] == asked["result"]["task"]["contextId"]


async def test_each_event_of_a_stream_is_a_response_with_one_thing_and_the_first_is_the_task() -> (
    None
):
    async with running(served(asking)) as app:
        body = said(method="SendStreamingMessage")
        async with post(app, "/a2a", body, headers={"A2A-Version": "1.0"}) as exchange:
            events = [event.json() for event in read_sse(await exchange.read())]
    assert exchange.headers["content-type"] == "text/event-stream"
    for event in events:
        assert event.keys() == {"jsonrpc", "id", "result"}
        assert (event["jsonrpc"], event["id"], len(event["result"])) == ("2.0", "q", 1)
        check(StreamResponse(), event["result"])
    assert [next(iter(event["result"])) for event in events[:2]] == ["task", "statusUpdate"]


async def test_all_streams_of_a_task_tell_the_same_and_one_that_closes_is_no_end_to_others() -> (
    None
):
    async with running(served(asking)) as app:
        task_id = (await ask(app, said()))["result"]["task"]["id"]
        body = call("SubscribeToTask", id=task_id)
        with anyio.fail_after(10):
            async with post(app, "/a2a", body) as one, post(app, "/a2a", body) as two:
                firsts = [await one.receive(), await two.receive()]
                async with post(app, "/a2a", body) as third:
                    await third.receive()
                await ask(app, said("yes", taskId=task_id))
                told = [
                    first + await each.read()
                    for first, each in zip(firsts, (one, two), strict=True)
                ]
    assert told[0] == told[1]
    last = read_sse(told[0])[-1].json()["result"]
    assert state(last["statusUpdate"]) == "COMPLETED"


@pytest.mark.parametrize("length", [0, 1, 10, None])
async def test_no_history_is_longer_than_what_is_asked_for(length: int | None) -> None:
    """None is kept: what a client has said, it knows."""
    asks_for = {} if length is None else {"historyLength": length}
    async with running(served(asking)) as app:
        sent = (await ask(app, said(configuration=asks_for)))["result"]["task"]
        answered = said("yes", taskId=sent["id"], configuration=asks_for)
        ended = (await ask(app, answered))["result"]["task"]
        got = (await ask(app, call("GetTask", id=sent["id"], **asks_for)))["result"]
        listed = (await ask(app, call("ListTasks", **asks_for)))["result"]["tasks"]
    assert not any("history" in task for task in (sent, ended, got, *listed))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (call("GetTask", id="unknown"), -32001),
        (call("CancelTask", id="unknown"), -32001),
        (call("SubscribeToTask", id="unknown"), -32001),
        (said(taskId="unknown"), -32001),
        (call("CreateTaskPushNotificationConfig", taskId="t", url="https://a.example"), -32003),
        (call("GetExtendedAgentCard"), -32004),
        (call("Unknown"), -32601),
        (call("SendMessage"), -32602),
        (call("SendMessage", message={"messageId": "m"}), -32602),
        (said(parts=[]), -32602),
        (said(role="ROLE_AGENT"), -32602),
    ],
)
async def test_errors_have_a_number_a_sentence_and_details(body: Any, code: int) -> None:
    async with running(served(asking)) as app:
        error = (await ask(app, body, **V1))["error"]
    assert (error.keys(), error["code"]) == ({"code", "message", "data"}, code)
    [info, *_] = error["data"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["reason"] == info["reason"].upper()
    assert info["domain"] == "a2a-protocol.org"


async def test_a_task_that_has_ended_takes_no_message_no_cancel_and_no_stream() -> None:
    async with running(served(asking)) as app:
        task_id = (await ask(app, said()))["result"]["task"]["id"]
        await ask(app, call("CancelTask", id=task_id))
        bodies = (
            said(taskId=task_id),
            call("SubscribeToTask", id=task_id),
            call("CancelTask", id=task_id),
        )
        codes = [(await ask(app, body))["error"]["code"] for body in bodies]
        task = await get(app, task_id)
    assert (codes, state(task)) == ([-32004, -32004, -32002], "CANCELED")


async def test_a_message_waits_for_the_end_unless_it_says_that_it_does_not() -> None:
    gate = asyncio.Event()
    answers: list[Any] = []

    async def waits(payload: Any, context: StreamContext) -> Any:
        await gate.wait()
        yield "done"

    async with running(served(waits)) as app:
        at_once = await ask(app, said(configuration={"returnImmediately": True}))
        assert state(at_once["result"]["task"]) in ("SUBMITTED", "WORKING")
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                answers.append(await ask(app, said()))

            tasks.start_soon(send)
            while len((await ask(app, call("ListTasks")))["result"]["tasks"]) < 2:
                await asyncio.sleep(0)
            assert answers == []
            gate.set()
    assert state(answers[0]["result"]["task"]) == "COMPLETED"
