"""Tasks that ask, and their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import post, read_sse, running

from .kit import ask, asking, call, get, said, said_by, served, state, texts, told


@pytest.mark.parametrize("streams", [True, False])
async def test_a_message_for_a_task_that_waits_answers_it(streams: bool) -> None:
    method = "SendStreamingMessage" if streams else "SendMessage"
    async with running(served(asking)) as app:
        asked = (await ask(app, said(contextId="c")))["result"]["task"]
        waits = await get(app, asked["id"])
        other = await ask(app, said("yes", taskId=asked["id"], contextId="d"))
        body = said("yes", method=method, taskId=asked["id"])
        if streams:
            results = await told(app, body)
            assert state(results[0]["task"]) == "WORKING"
            assert texts(results[0]["task"]) == ["Well. "]
            assert said_by(results) == "You said yes in c."
        else:
            assert state((await ask(app, body))["result"]["task"]) == "COMPLETED"
        ended = await get(app, asked["id"])
        again = await ask(app, said("yes", taskId=asked["id"]))
    assert (state(asked), asked["status"]) == ("INPUT_REQUIRED", waits["status"])
    assert asked["status"]["message"]["parts"] == [{"text": "Really?"}]
    assert (state(ended), texts(ended)) == ("COMPLETED", ["Well. You said yes in c."])
    assert (other["error"]["code"], again["error"]["code"]) == (-32602, -32004)


async def test_an_answer_may_be_data_and_need_not_be_waited_for() -> None:
    async with running(served(asking)) as app:
        asked = (await ask(app, said()))["result"]["task"]
        parts = [{"data": {"ok": True}}]
        at_once = {"returnImmediately": True}
        body = said(configuration=at_once, taskId=asked["id"], parts=parts)
        task = (await ask(app, body))["result"]["task"]
        assert state(task) in ("WORKING", "COMPLETED")
        with anyio.fail_after(5):
            while state(task) != "COMPLETED":
                task = await get(app, asked["id"])
                await asyncio.sleep(0.01)
    assert texts(task) == [f"Well. You said {{'ok': True}} in {asked['id']}."]


async def test_several_questions_are_answered_at_once() -> None:
    async def asking_twice(payload: Any, context: StreamContext) -> Any:
        both = await asyncio.gather(context.ask("One?"), context.ask("Two?"))
        yield f"{both} "
        yield await context.ask("Three?")

    def ids_of(task: dict[str, Any]) -> dict[str, str]:
        asked = task["status"]["message"]["metadata"]["interrupts"]
        return {one["value"]: one["interrupt_id"] for one in asked}

    async with running(served(asking_twice)) as app:
        task = (await ask(app, said()))["result"]["task"]
        with anyio.fail_after(5):
            while len(ids_of(task)) < 2:
                task = await get(app, task["id"])
        one, two = ids_of(task)["One?"], ids_of(task)["Two?"]
        some = await ask(app, said(taskId=task["id"], parts=[{"data": {one: 1}}]))
        text = await ask(app, said("yes", taskId=task["id"]))
        answers = [{"data": {one: 1, two: 2}}]
        body = said(method="SendStreamingMessage", taskId=task["id"], parts=answers)
        results = await told(app, body)
        last = (await ask(app, said("3", taskId=task["id"])))["result"]["task"]
    assert (some["error"]["code"], text["error"]["code"]) == (-32602, -32602)
    assert said_by(results) == "[1, 2] "
    assert state(results[-1]["statusUpdate"]) == "INPUT_REQUIRED"
    assert results[-1]["statusUpdate"]["status"]["message"]["parts"] == [{"text": "Three?"}]
    assert (state(last), texts(last)) == ("COMPLETED", ["[1, 2] 3"])


async def test_who_follows_a_task_that_waits_is_told_when_it_goes_on() -> None:
    async with running(served(asking)) as app:
        asked = (await ask(app, said()))["result"]["task"]
        async with post(app, "/a2a", call("SubscribeToTask", id=asked["id"])) as following:
            first = await following.receive()
            await ask(app, said("yes", taskId=asked["id"]))
            rest = await following.read()
    [task] = [event.json()["result"]["task"] for event in read_sse(first)]
    results = [event.json()["result"] for event in read_sse(rest)]
    assert state(task) == "INPUT_REQUIRED"
    assert state(results[0]["statusUpdate"]) == "WORKING"
    assert said_by(results) == f"You said yes in {asked['id']}."


async def asking_again(payload: Any, context: StreamContext) -> Any:
    for question in ("One?", "Two?"):
        answer = await context.ask(question)
        await context.emit_progress("p", 0.5)
        yield f"{answer} "


async def test_any_cut_of_what_follows_an_answer_and_its_rest_are_the_stream() -> None:
    async with running(served(asking_again)) as app:
        task = (await ask(app, said()))["result"]["task"]
        for answer in ("1", "2"):
            body = said(answer, method="SendStreamingMessage", taskId=task["id"])
            async with post(app, "/a2a", body) as exchange:
                whole = read_sse(await exchange.read())
            for known, event in enumerate(whole[:-1], start=1):
                headers = {"last-event-id": event.id}
                async with post(app, "/a2a", body, headers=headers) as exchange:
                    assert read_sse(await exchange.read()) == whole[known:], known


async def test_who_comes_back_to_a_task_that_waits_still_waits_with_it() -> None:
    async with running(served(asking)) as app:
        asked = (await ask(app, said()))["result"]["task"]
        body = call("SubscribeToTask", id=asked["id"])
        async with post(app, "/a2a", body) as following:
            [first] = read_sse(await following.receive())
            async with post(app, "/a2a", body, headers={"last-event-id": first.id}) as again:
                # It reads what is there, and would end with the question.
                for _ in range(50):
                    await asyncio.sleep(0)
                await ask(app, said("yes", taskId=asked["id"]))
                assert await again.read() == await following.read()


async def test_who_waits_with_a_task_that_has_said_more_is_told_when_it_goes_on() -> None:
    """Its events do not tell that it waits: something has come after the question."""
    asked = asyncio.Event()

    async def says_beside(payload: Any, context: StreamContext) -> Any:
        answer = asyncio.ensure_future(context.ask("Really?"))
        await asked.wait()
        await context.emit_token("beside ")
        await answer
        await context.emit_progress("p", 0.5)
        await context.emit_token("done")

    async with running(served(says_beside)) as app:
        task_id = (await ask(app, said()))["result"]["task"]["id"]
        asked.set()
        with anyio.fail_after(5):
            while texts(await get(app, task_id)) != ["beside "]:
                await asyncio.sleep(0)
        body = call("SubscribeToTask", id=task_id)
        async with post(app, "/a2a", body) as following:
            [first] = read_sse(await following.receive())
            answer = said("yes", method="SendStreamingMessage", taskId=task_id)
            async with post(app, "/a2a", answer) as answering:
                answered = read_sse(await answering.read())
            rest = read_sse(await following.read())
        again = []
        for event in (first, *rest[:2]):
            async with post(app, "/a2a", body, headers={"last-event-id": event.id}) as back:
                again.append(read_sse(await back.read()))
    assert state(first.json()["result"]["task"]) == "INPUT_REQUIRED"
    assert state(rest[0].json()["result"]["statusUpdate"]) == "WORKING"
    assert again == [rest, rest[1:], rest[2:]]
    assert answered[1:] == rest


async def test_each_question_has_its_own_time() -> None:
    """Also where nothing has come between them."""

    async def insists(payload: Any, context: StreamContext) -> Any:
        return [await context.ask("One?"), await context.ask("Two?")]

    async with running(served(insists)) as app:
        one = (await ask(app, said()))["result"]["task"]
        moment = one["status"]["timestamp"]
        with anyio.fail_after(5):
            while (await ask(app, said("hm")))["result"]["task"]["status"]["timestamp"] <= moment:
                pass
        two = (await ask(app, said("yes", taskId=one["id"])))["result"]["task"]
        got = await get(app, one["id"])
    assert state(two) == "INPUT_REQUIRED"
    assert two["status"] == got["status"]
    assert two["status"]["timestamp"] > moment
