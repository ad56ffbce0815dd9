"""Agents that ask, and reading what their runs say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from dockrion.events.context import StreamContext
from dockrion.events.model import Cancelled, Complete, Event, Failed
from dockrion.runs.run import Run
from tests.runs.kit import next_batch


async def until_it_asks(run: Run, *, count: int = 1) -> list[Event]:
    """Read until so many questions are open; the batch in which one leaves ends with it."""
    events: list[Event] = []
    with anyio.fail_after(5):
        while True:
            batch = await next_batch(run)
            events += batch.events
            assert not isinstance(events[-1], Complete | Failed | Cancelled), events[-1]
            if batch.is_last and len(run.questions) == count:
                return events


async def to_the_end(run: Run) -> list[Event]:
    events: list[Event] = []
    with anyio.fail_after(5):
        while True:
            batch = await next_batch(run)
            events += batch.events
            if isinstance(events[-1], Complete | Failed | Cancelled):
                return events


async def asks(payload: Any, context: StreamContext) -> Any:
    await context.emit_token("before ")
    answer = await context.ask({"may I?": 1})
    await context.emit_token("after")
    return {"answer": answer}


def asks_in_thread(payload: Any, context: StreamContext) -> Any:
    context.sync_emit_token("before ")
    answer = context.sync_ask({"may I?": 1})
    context.sync_emit_token("after")
    return {"answer": answer}


def answers_by_value(run: Run, answer: Callable[[Any], Any]) -> dict[str, Any]:
    return {one.interrupt_id: answer(one.value) for one in run.questions}
