"""Handlers and the rules for tools: what they may ask, and what a refusal does to the run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dockrion.errors import PolicyViolationError
from dockrion.events.context import StreamContext
from dockrion.events.model import Complete, Event, Failed, Policy, Started, Token
from dockrion.policy.tools import ToolRules
from dockrion.runtime.traffic import Tally, Traffic
from tests.runs.kit import read_to_end, runner_for

RULES = ToolRules(allowed=frozenset({"search"}))
HALTING = ToolRules(allowed=frozenset({"search"}), halts=True)
REFUSED = Policy("tools", "The tool 'rm' is not allowed.", "rm")
VIOLATION = Failed("The tool 'rm' is not allowed.", "POLICY_VIOLATION", {"tool": "rm"})


class Counted:
    """The events of a run, and the violations that were counted."""

    def __init__(self) -> None:
        self.violations: dict[str, int] = {}
        self.traffic = Traffic()
        self.traffic.sinks.append(self._add)

    def _add(self, tally: Tally) -> None:
        for rule, count in tally.violations.items():
            self.violations[rule] = self.violations.get(rule, 0) + count

    async def events(self, handler: Any, *, streams: bool = True, **options: Any) -> list[Event]:
        options.setdefault("tools", RULES)
        runner = runner_for(handler, observer=self.traffic, **options)
        with anyio.fail_after(10):
            events = await read_to_end(runner.start({}, streams=streams))
            # What a thread has counted comes in on the loop's next turn.
            await asyncio.sleep(0)
        self.traffic.flush()
        return events


def swallows(context: StreamContext) -> str:
    try:
        context.guard_tool("rm")
    except PolicyViolationError as error:
        return error.message
    return "it ran"


async def on_the_loop(payload: Any, context: StreamContext) -> dict[str, Any]:
    return {"said": swallows(context)}


def in_a_thread(payload: Any, context: StreamContext) -> dict[str, Any]:
    return {"said": swallows(context)}


async def in_a_thread_of_its_own(payload: Any, context: StreamContext) -> dict[str, Any]:
    return {"said": await asyncio.to_thread(swallows, context)}


everywhere = pytest.mark.parametrize("handler", [on_the_loop, in_a_thread, in_a_thread_of_its_own])


async def test_a_handler_asks_and_an_allowed_tool_leaves_no_trace() -> None:
    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        context.guard_tool("search")
        return {name: context.is_tool_allowed(name) for name in ("search", "rm")}

    counted = Counted()
    events = await counted.events(handler)
    assert [type(event) for event in events] == [Started, Complete]
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"search": True, "rm": False}
    assert counted.violations == {}


async def test_without_rules_and_without_a_run_every_tool_may_run() -> None:
    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        context.guard_tool("rm")
        return {"rm": context.is_tool_allowed("rm")}

    [*_, last] = await Counted().events(handler, tools=None)
    assert isinstance(last, Complete)
    assert last.output == {"rm": True}
    assert StreamContext().is_tool_allowed("rm")
    StreamContext().guard_tool("rm")


@everywhere
async def test_a_refusal_is_an_event_and_counted_once(handler: Any) -> None:
    counted = Counted()
    [_, policy, last] = await counted.events(handler)
    assert policy == REFUSED
    assert isinstance(last, Complete)
    assert last.output == {"said": "The tool 'rm' is not allowed."}
    assert counted.violations == {"tools": 1}


@everywhere
@pytest.mark.parametrize("options", [{"allowed": "chat"}, {"streams": False}])
async def test_a_refusal_that_is_no_event_is_counted_once_all_the_same(
    handler: Any, options: dict[str, Any]
) -> None:
    counted = Counted()
    events = await counted.events(handler, **options)
    assert not any(isinstance(event, Policy) for event in events)
    assert counted.violations == {"tools": 1}


@pytest.mark.parametrize("options", [{}, {"allowed": "chat"}, {"streams": False}])
async def test_a_refusal_that_nobody_catches_ends_the_run_and_is_counted_once(
    options: dict[str, Any],
) -> None:
    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        context.guard_tool("rm")
        return {}

    counted = Counted()
    events = await counted.events(handler, **options)
    assert events[-1] == VIOLATION
    assert counted.violations == {"tools": 1}


@everywhere
@pytest.mark.parametrize("options", [{}, {"allowed": "chat"}, {"streams": False}])
async def test_where_the_rules_say_so_a_refusal_ends_the_run_whatever_the_agent_does_with_it(
    handler: Any, options: dict[str, Any]
) -> None:
    counted = Counted()
    events = await counted.events(handler, tools=HALTING, **options)
    assert events[-1] == VIOLATION
    assert events[1:-1] == ([] if options else [REFUSED])
    assert counted.violations == {"tools": 1}


async def test_an_agent_cannot_go_on_after_a_refusal_that_halts() -> None:
    went_on: list[str] = []
    ended = asyncio.Event()

    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        try:
            await context.emit_token("before")
            swallows(context)
            went_on.append("to its next emit")
            await context.emit_token("after")
            went_on.append("past it")
        finally:
            ended.set()
        return {}

    events = await Counted().events(handler, tools=HALTING)
    with anyio.fail_after(5):
        await ended.wait()
    assert [e for e in events if isinstance(e, Token)] == [Token("before")]
    assert events[-1] == VIOLATION
    assert went_on == ["to its next emit"]


async def test_a_sync_agent_cannot_go_on_after_a_refusal_that_halts() -> None:
    went_on: list[str] = []
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        try:
            swallows(context)
            context.sync_emit_token("after")
            went_on.append("past it")
        finally:
            loop.call_soon_threadsafe(ended.set)
        return {}

    events = await Counted().events(handler, tools=HALTING)
    with anyio.fail_after(5):
        await ended.wait()
    assert events[1:] == [REFUSED, VIOLATION]
    assert went_on == []


async def test_a_thread_of_an_async_agent_that_is_refused_ends_the_agents_task() -> None:
    stopped = asyncio.Event()

    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        try:
            await asyncio.to_thread(swallows, context)
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return {}

    events = await Counted().events(handler, tools=HALTING)
    assert events[-1] == VIOLATION
    with anyio.fail_after(5):
        await stopped.wait()


async def test_a_refusal_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await Counted().events(on_the_loop)
    [record] = [r for r in caplog.records if r.message == "tool call refused"]
    assert record.levelno == logging.WARNING
    assert vars(record)["tool"] == "rm"
    assert vars(record)["run_id"]


async def test_what_an_agent_raises_itself_counts_as_its_own_rule() -> None:
    async def handler(payload: Any) -> None:
        raise PolicyViolationError("enough")

    counted = Counted()
    await counted.events(handler)
    assert counted.violations == {"agent": 1}


async def test_a_refusal_after_the_end_of_the_run_is_refused_and_goes_nowhere() -> None:
    late: list[Callable[[], str]] = []

    async def handler(payload: Any, context: StreamContext) -> dict[str, Any]:
        late.append(lambda: swallows(context))
        return {}

    counted = Counted()
    await counted.events(handler)
    assert late[0]() == "The tool 'rm' is not allowed."
    counted.traffic.flush()
    assert counted.violations == {}
