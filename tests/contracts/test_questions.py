"""Agents that ask: the question is told, answered on the same front end or with `POST /runs/{run_id}/resume`, and the run goes on."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from dockrion.events.context import StreamContext
from dockrion.testing import post, running
from dockrion.testing import request as request_of
from tests.adapters.graphs import State, agent_of, graph_of
from tests.contracts.front_ends.agents import A2a, Mcp
from tests.contracts.front_ends.base import KEPT, SECONDS, Answer, FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.contracts.front_ends.openai import Completions, Responses
from tests.contracts.front_ends.own import Socket


async def asks(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    yield f"You said {await context.ask('Really?')}."


async def asks_twice(payload: Any, context: StreamContext) -> Any:
    first, second = await asyncio.gather(context.ask("A?"), context.ask("B?"))
    yield f"You said {first} and {second}."


async def graph() -> Any:
    def node(state: State) -> dict[str, Any]:
        return {"notes": [f"You said {interrupt('Really?')}."]}

    return await agent_of(graph_of(node, checkpointer=InMemorySaver()))


async def made(agent: str) -> Any:
    return await graph() if agent == "graph" else asks


def is_asked(front: FrontEnd, answer: Answer, question: str) -> bool:
    """Whether a front end says so: OpenAI's protocols have questions as text."""
    heard = answer.heard
    if isinstance(front, Completions | Responses):
        return heard.ended == "complete" and heard.text.endswith(question)
    return heard.ended == "interrupt" and question in [one.value for one in heard.questions]


async def ended(app: Any, run_id: str) -> Any:
    with anyio.fail_after(SECONDS):
        while True:
            async with request_of(app, "GET", f"/runs/{run_id}") as exchange:
                record = await exchange.json()
            if record["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
                return record


@each()
@pytest.mark.parametrize("agent", ["handler", "graph"])
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["alone", "kept"])
async def test_a_question_is_answered_with_a_resume(
    front: FrontEnd, agent: str, streaming: Any
) -> None:
    async with running(served(await made(agent), streaming=streaming)) as app:
        asked = await front.tell(app, "hi")
        assert is_asked(front, asked, "Really?"), asked.raw
        async with post(app, f"/runs/{asked.run_id}/resume", "yes") as exchange:
            assert (await exchange.json())["run_id"] == asked.run_id
        record = await ended(app, asked.run_id)
    assert record["status"] == "COMPLETED"
    assert "You said yes." in str(record["output"])


@each(lambda front: front.answers)
@pytest.mark.parametrize("agent", ["handler", "graph"])
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["alone", "kept"])
async def test_a_question_is_answered_where_it_was_asked(
    front: FrontEnd, agent: str, streaming: Any
) -> None:
    async with running(served(await made(agent), streaming=streaming)) as app:
        asked = await front.tell(app, "hi")
        rest = await front.tell(app, front.answer(asked, ["yes"]))
        again = await front.tell(app, front.answer(asked, ["no"]))
        record = await ended(app, asked.run_id)
    assert rest.run_id == asked.run_id
    assert rest.heard.ended == "complete"
    said = rest.heard.text if agent == "handler" else rest.raw.decode()
    assert "You said yes." in said
    assert "You said yes." in str(record["output"])
    # Who calls with the same answers once more hears at most what became of it.
    assert "You said no" not in again.everything


@each(lambda front: front.answers)
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["alone", "kept"])
async def test_two_questions_are_answered_at_once(front: FrontEnd, streaming: Any) -> None:
    async with running(served(asks_twice, streaming=streaming)) as app:
        asked = await front.tell(app, "hi")
        assert sorted(one.value for one in asked.heard.questions) == ["A?", "B?"]
        values = ["a" if one.value == "A?" else "b" for one in asked.heard.questions]
        rest = await front.tell(app, front.answer(asked, values))
    assert rest.heard.ended == "complete"
    assert rest.heard.text.endswith("You said a and b.")


@each(lambda front: front.answers and not isinstance(front, Socket))
async def test_who_can_hear_nothing_of_what_follows_has_answered_nothing(front: FrontEnd) -> None:
    alone = {"connection": {"on_disconnect": "continue", "max_subscribers_per_run": 1}}
    async with running(served(asks, streaming=alone)) as app:
        asked = await front.tell(app, "hi")
        async with request_of(app, "GET", f"/runs/{asked.run_id}/events") as another:
            await another.receive()
            refused = await front.tell(app, front.answer(asked, ["no"]))
        rest = await front.tell(app, front.answer(asked, ["yes"]))
    assert (refused.heard.ended, refused.heard.code) == ("refused", "TOO_MANY_SUBSCRIBERS")
    assert refused.status == 429
    assert rest.heard.ended == "complete"
    assert rest.heard.text.endswith("You said yes.")


class SpeaksBeside:
    """Asks, says something while the question is open, and may ask once more then."""

    def __init__(self, second: bool) -> None:
        self.asked = asyncio.Event()
        self._second = second

    async def __call__(self, payload: Any, context: StreamContext) -> Any:
        await context.emit_token("Well. ")
        asking = [asyncio.ensure_future(context.ask("A?"))]
        await self.asked.wait()
        await context.emit_token("Beside. ")
        if self._second:
            asking.append(asyncio.ensure_future(context.ask("B?")))
        await context.emit_token(f"You said {' and '.join(await asyncio.gather(*asking))}.")


@each(lambda front: front.answers and front.returns)
@pytest.mark.parametrize("second", [False, True], ids=["one", "two"])
async def test_a_question_stays_open_whatever_is_said_beside_it(
    front: FrontEnd, second: bool
) -> None:
    agent = SpeaksBeside(second)
    async with running(served(agent, streaming=KEPT)) as app:
        first = await front.tell(app, "hi")
        assert is_asked(front, first, "A?")
        agent.asked.set()
        await stored(app, first.run_id, "B?" if second else "Beside. ")
        asked = await front.tell(app, front.come_back("hi", first.heard.cursors[0]))
        values = [one.value.lower() for one in asked.heard.questions]
        assert sorted(values) == ["a?", "b?"][: 1 + second], asked.raw
        rest = await front.tell(app, front.answer(asked, values))
        record = await ended(app, first.run_id)
    assert record["status"] == "COMPLETED"
    assert rest.heard.ended == "complete"
    if not isinstance(front, Mcp):
        assert "Beside. " in asked.heard.text
    if not isinstance(front, Mcp | A2a):
        assert rest.heard.text == f"You said {' and '.join(['a?', 'b?'][: 1 + second])}."


@each(lambda front: front.answers and front.streams and not isinstance(front, Mcp))
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["alone", "kept"])
async def test_what_is_said_beside_a_question_is_told_with_what_follows_the_answer(
    front: FrontEnd, streaming: Any
) -> None:
    agent = SpeaksBeside(second=False)
    async with running(served(agent, streaming=streaming)) as app:
        asked = await front.tell(app, "hi")
        agent.asked.set()
        await stored(app, asked.run_id, "Beside. ")
        rest = await front.tell(app, front.answer(asked, ["yes"]))
    assert rest.heard.ended == "complete"
    assert rest.heard.text.removeprefix("Well. ") == "Beside. You said yes."


class WaitsOn:
    """Asks, and waits to be let on with its answer."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, payload: Any, context: StreamContext) -> Any:
        yield "Well. "
        answer = await context.ask("Really?")
        self.answered.set()
        await self.open.wait()
        yield f"You said {answer}."


# A WebSocket stays open for what follows a question.
@each(lambda front: front.returns and not isinstance(front, Socket))
async def test_who_comes_back_after_the_answer_is_not_told_that_the_run_waits(
    front: FrontEnd,
) -> None:
    agent = WaitsOn()
    async with running(served(agent, streaming=KEPT)) as app:
        asked = await front.tell(app, "hi")
        async with post(app, f"/runs/{asked.run_id}/resume", "yes") as exchange:
            await exchange.read()
        await agent.answered.wait()
        back = front.come_back("hi", asked.heard.cursors[0])
        with anyio.fail_after(SECONDS):
            async with front.open(app, back) as stream:
                await stream.head()
                # It reads what is there, and would end with the question.
                for _ in range(50):
                    await asyncio.sleep(0)
                agent.open.set()
                raw = await stream.read()
    assert front.read(stream, raw).heard.ended == "complete"
    assert "You said yes." in raw.decode()


async def stored(app: Any, run_id: str, text: str) -> None:
    """Wait until a run that goes on has an event."""
    with anyio.fail_after(SECONDS):
        async with request_of(app, "GET", f"/runs/{run_id}/events") as exchange:
            got = b""
            while text.encode() not in got:
                got += await exchange.receive()
