"""Callers who leave and come back, on every front end: a run ends or goes on, and nothing is lost or said twice."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, read_sse, running
from dockrion.testing import request as request_of
from tests.contracts.front_ends.agents import A2a, Mcp
from tests.contracts.front_ends.base import KEPT, FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.contracts.front_ends.own import Socket

WINDOW = {"connection": {"resume_window": 30}}


class Gated:
    """Says one word, waits to be let on, and says another."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.calls = 0

    async def __call__(self, payload: Any) -> Any:
        self.calls += 1
        try:
            yield "first "
            self.begun.set()
            await self.open.wait()
            yield "second"
        except (asyncio.CancelledError, GeneratorExit):
            self.ended.put_nowait("stopped")
            raise
        self.ended.put_nowait("returned")


async def leave(app: Any, front: FrontEnd, agent: Gated) -> tuple[str, bytes]:
    """Ask, wait for the first word where there are any, and go; return the run's id and what came."""
    got = b""
    with anyio.fail_after(5):
        async with front.open(app, front.ask("hi")) as exchange:
            await agent.begun.wait()
            if front.streams:
                await exchange.head()
                while b"first " not in got and not (isinstance(front, Mcp) and b"id:" in got):
                    got += await exchange.receive()
    return exchange.headers.get("x-run-id", ""), got


@each()
async def test_who_leaves_ends_the_run_within_a_second(front: FrontEnd) -> None:
    agent = Gated()
    # Tasks of A2A go on where they are kept.
    streaming = {"async_runs": False} if isinstance(front, A2a) else {}
    async with running(served(agent, streaming=streaming)) as app:
        await leave(app, front, agent)
        with anyio.fail_after(1):
            assert await agent.ended.get() == "stopped"


@each(lambda front: front.streams or isinstance(front, A2a))
async def test_a_run_that_is_kept_goes_on_without_its_caller(front: FrontEnd) -> None:
    agent = Gated()
    async with running(served(agent, streaming=KEPT)) as app:
        run_id, _ = await leave(app, front, agent)
        agent.open.set()
        with anyio.fail_after(5):
            assert await agent.ended.get() == "returned"
            if run_id:
                await _ended(app, run_id)


async def _ended(app: Any, run_id: str) -> None:
    status = "RUNNING"
    while status == "RUNNING":
        async with request_of(app, "GET", f"/runs/{run_id}") as exchange:
            status = (await exchange.json())["status"]
    assert status == "COMPLETED"


@each(lambda front: front.returns)
async def test_who_comes_back_in_time_hears_the_rest(front: FrontEnd) -> None:
    agent = Gated()
    async with running(served(agent, streaming=WINDOW)) as app:
        run_id, got = await leave(app, front, agent)
        if isinstance(front, Socket):
            sequence = got.count(b'"sequence"') - 1
            cursor = f"{run_id}:{sequence}"
        else:
            cursor = read_sse(got)[-1].id
        agent.open.set()
        with anyio.fail_after(5):
            rest = await front.tell(app, front.come_back("hi", cursor))
            assert await agent.ended.get() == "returned"
    assert rest.run_id == run_id
    assert rest.heard.ended == "complete"
    assert rest.heard.text == ("first second" if isinstance(front, Mcp) else "second")
    assert agent.calls == 1


async def everything(payload: Any, context: StreamContext) -> Any:
    yield "The"
    yield " rep"
    yield {"type": "tool_call", "tool": "look", "call_id": "c", "arguments": {"a": 1}}
    yield {"type": "tool_result", "tool": "look", "call_id": "c", "output": 2}
    await context.emit_progress("half", 0.5)
    await context.emit("found", {"a": 1})
    yield {"type": "token", "content": "ly", "node": "n", "message_id": "m"}
    await context.emit_step("n", 1)
    yield {"type": "token", "content": ", whole", "node": "n", "message_id": "m"}
    yield {"type": "token", "content": "!", "node": "o", "finish_reason": "stop"}
    yield " So."


async def fails(payload: Any) -> Any:
    yield "a"
    raise RuntimeError("no")


async def whole(payload: Any) -> Any:
    return {"content": "all"}


async def asks(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    first, second = await asyncio.gather(context.ask("A?"), context.ask("B?"))
    yield f"You said {first} and {second}."


@each(lambda front: front.returns)
@pytest.mark.parametrize("agent", [everything, fails, whole, asks])
async def test_wherever_a_stream_is_cut_nothing_is_lost_or_told_twice(
    front: FrontEnd, agent: Any
) -> None:
    async with running(served(agent, streaming=KEPT)) as app:
        answer = await front.tell(app, "hi")
        frames = _frames(front, answer.raw)
        assert len(frames) > 1
        for known, (_, cursor) in enumerate(frames, start=1):
            if known == len(frames) and (isinstance(front, Socket) or agent is asks):
                # Who has seen the end has nothing to follow, and only a request is answered with that; who has the
                # questions waits for what follows them.
                continue
            rest = await front.tell(app, front.come_back("hi", cursor))
            again = _frames(front, rest.raw) if rest.raw else []
            assert again == frames[known:], known
            assert rest.status == (200 if again else 204)


@each(lambda front: front.returns and not isinstance(front, Socket))
async def test_a_cut_inside_of_a_frame_is_one_in_front_of_it(front: FrontEnd) -> None:
    async with running(served(everything, streaming=KEPT)) as app:
        raw = (await front.tell(app, "hi")).raw
    frames = _frames(front, raw)
    assert all(cursor for _, cursor in frames)
    assert len({cursor for _, cursor in frames}) == len(frames)
    for cut in range(len(raw)):
        got = _frames(front, raw[:cut])
        assert got == frames[: raw[:cut].count(b"\n\n")]


@each(lambda front: front.answers and front.returns and not isinstance(front, Socket))
async def test_who_comes_back_to_questions_that_are_answered_hears_what_follows(
    front: FrontEnd,
) -> None:
    async with running(served(asks, streaming=KEPT)) as app:
        asked = await front.tell(app, "hi")
        values = ["a" if one.value == "A?" else "b" for one in asked.heard.questions]
        await front.tell(app, front.answer(asked, values))
        rest = await front.tell(app, front.come_back("hi", asked.heard.cursors[-1]))
    assert rest.heard.ended == "complete"
    assert rest.heard.text.removeprefix("Well. ") == "You said a and b."


@each(lambda front: front.answers and front.returns and not isinstance(front, Socket))
async def test_wherever_the_answer_to_answers_is_cut_the_rest_is_told(front: FrontEnd) -> None:
    async with running(served(asks, streaming=KEPT)) as app:
        asked = await front.tell(app, "hi")
        values = ["a" if one.value == "A?" else "b" for one in asked.heard.questions]
        frames = _frames(front, (await front.tell(app, front.answer(asked, values))).raw)
        for known, (_, cursor) in enumerate(frames[:-1], start=1):
            back = front.answer(asked, values).by(last_event_id=cursor)
            rest = await front.tell(app, back)
            assert _frames(front, rest.raw) == frames[known:], known


def _frames(front: FrontEnd, raw: bytes) -> list[tuple[str, str]]:
    """Return the frames of a stream, each with its id."""
    if not isinstance(front, Socket):
        return [(event.data, event.id) for event in read_sse(raw)]
    return [(json.dumps(one), one["id"]) for one in json.loads(raw) if "sequence" in one]


@each(lambda front: front.returns)
async def test_a_cursor_of_no_run_is_gone(front: FrontEnd) -> None:
    agent = ScriptedAgent(["a"])
    async with running(served(agent, streaming=KEPT)) as app:
        first = await front.tell(app, "hi")
        cursor = first.heard.cursors[-1].replace(first.run_id, "0" * 8)
        answer = await front.tell(app, front.come_back("hi", cursor))
    assert answer.heard.ended == "refused"
    assert answer.heard.code in ("GONE", "NOT_FOUND")
    assert len(agent.payloads) == 1
