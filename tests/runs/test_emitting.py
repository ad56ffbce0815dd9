"""What an agent yields and emits, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.model import (
    Checkpoint,
    Complete,
    Custom,
    Failed,
    Progress,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.runs.ending import CALLER_LEFT
from tests.runs.kit import output_of, read_to_end, run_events, runner_for


async def test_everything_that_a_generator_may_yield() -> None:
    async def agent(payload: Any) -> AsyncGenerator[Any]:
        yield "a"
        yield {"type": "token", "content": "b", "finish_reason": "stop", "node": "n"}
        yield {"type": "progress", "step": "s", "progress": 1.7, "message": "m"}
        yield {"type": "step", "node_name": "n", "duration_ms": 3, "input_keys": ("x",)}
        yield {"type": "checkpoint", "name": "c", "data": {"k": {1, 2}}}
        yield {"type": "tool_call", "tool": "t", "call_id": "1", "arguments": {"q": 1}}
        yield {"type": "tool_result", "tool": "t", "call_id": "1", "output": [1]}
        yield {"type": "custom:thing", "data": {"a": 1}, "b": 2}
        yield {"type": "custom:bare", "b": 2}
        yield {"type": "started", "agent": "me"}
        yield {"type": "complete", "output": {"no": 1}}
        yield None
        yield {"type": "invoice", "answer": 42}

    events = await run_events(agent)
    assert events[1:-1] == [
        Token("a"),
        Token("b", "stop", "n"),
        Progress("s", 1.0, "m"),
        Step("n", 3.0, ["x"]),
        Checkpoint("c", {"k": [1, 2]}),
        ToolCall("t", "1", {"q": 1}),
        ToolResult("t", "1", [1]),
        Custom("thing", {"a": 1, "b": 2}),
        Custom("bare", {"b": 2}),
    ]
    last = events[-1]
    assert isinstance(last, Complete)
    assert last.output == {"type": "invoice", "answer": 42}


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"type": "token"}, "content"),
        ({"type": "token", "content": 3}, "token.content: must be a string, got 3"),
        ({"type": "progress", "step": "s", "progress": "much"}, "progress.progress"),
        ({"type": "custom:no-name", "data": 1}, "custom event name"),
        ({"type": "step", "node_name": "n", "colour": "red"}, "colour"),
    ],
)
async def test_an_event_that_is_none_fails_the_run_and_says_why(
    item: dict[str, Any], message: str
) -> None:
    async def agent(payload: Any) -> AsyncGenerator[Any]:
        yield item

    last = (await run_events(agent))[-1]
    assert isinstance(last, Failed)
    assert last.code == "AGENT_EXECUTION_ERROR"
    assert message in last.error


async def test_async_emits_and_yields_keep_their_order() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        for number in range(3):
            yield f"y{number}"
            await context.emit_token(f"e{number}")
            await context.emit("note", number=number)

    events = await run_events(agent)
    assert events[1:-1] == [
        event
        for n in range(3)
        for event in (Token(f"y{n}"), Token(f"e{n}"), Custom("note", {"number": n}))
    ]


async def test_every_emit_has_its_event_in_both_twins() -> None:
    async def emits(payload: Any, context: StreamContext) -> dict[str, Any]:
        await context.emit_token("t", finish_reason="stop")
        await context.emit_progress("p", 0.5)
        await context.emit_step("n", duration_ms=1, output_keys=["o"])
        await context.checkpoint("c", {"a": 1})
        await context.emit("custom:x", {"a": 1}, b=2)
        await context.emit("y", 5, b=2)
        await context.emit_started("me")
        await context.emit_complete(output={})
        return {}

    def sync_emits(payload: Any, context: StreamContext) -> dict[str, Any]:
        context.sync_emit_token("t", finish_reason="stop")
        context.sync_emit_progress("p", 0.5)
        context.sync_emit_step("n", duration_ms=1, output_keys=["o"])
        context.sync_checkpoint("c", {"a": 1})
        context.sync_emit("custom:x", {"a": 1}, b=2)
        context.sync_emit("y", 5, b=2)
        context.sync_emit_error("boom")
        return {}

    expected = [
        Token("t", "stop"),
        Progress("p", 0.5),
        Step("n", 1.0, None, ["o"]),
        Checkpoint("c", {"a": 1}),
        Custom("x", {"a": 1, "b": 2}),
        Custom("y", {"data": 5, "b": 2}),
    ]
    for handler in (emits, sync_emits):
        events = await run_events(handler)
        assert events[1:-1] == expected


async def test_an_event_holds_what_the_agent_gave_at_that_moment() -> None:
    async def agent(payload: Any, context: StreamContext) -> dict[str, Any]:
        state = {"n": 1}
        await context.checkpoint("one", state)
        state["n"] = 2
        return {}

    assert (await run_events(agent))[1] == Checkpoint("one", {"n": 1})


async def test_the_filter_decides_what_is_sent_and_tokens_still_make_the_output() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        yield "a"
        await context.emit_progress("p", 0.1)
        yield "b"

    events = await run_events(agent, allowed=["progress"])
    assert events[1:-1] == [Progress("p", 0.1)]
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"content": "ab"}


async def test_an_invocation_that_nobody_streams_sends_only_its_end() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        await context.emit("x", {})
        yield "a"

    events = await read_to_end(runner_for(agent).start({}, streams=False))
    assert [type(event) for event in events] == [Complete]
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"content": "a"}


async def test_a_generators_return_value_is_the_output() -> None:
    def agent(payload: Any) -> Generator[Any, None, dict[str, int]]:
        yield "a"
        yield {"from": "yield"}
        return {"from": 1}

    assert await output_of(agent) == {"from": 1}


async def test_emits_of_a_cancelled_run_raise_what_except_exception_does_not_swallow() -> None:
    caught: list[BaseException] = []
    ready, go_on = asyncio.Event(), asyncio.Event()

    async def agent(payload: Any, context: StreamContext) -> None:
        ready.set()
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            try:
                await context.emit_progress("p", 1)
            except Exception:
                pytest.fail("swallowed")
            except RunCancelled as exc:
                caught.append(exc)
            assert context.cancelled

    run = runner_for(agent, allowed="minimal").start({}, streams=True)
    await ready.wait()
    run.stop(CALLER_LEFT)
    while not caught:
        await asyncio.sleep(0)
    run.leave()
