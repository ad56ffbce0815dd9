"""A runner for tests, over plain handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio

from dockrion.adapters.base import Agent
from dockrion.adapters.callables import CallableAgent
from dockrion.events.base import Stage
from dockrion.events.filter import EventsFilter
from dockrion.events.model import Batch, Complete, Event
from dockrion.policy.outgoing import EVERYTHING, Outgoing
from dockrion.policy.tools import ToolRules
from dockrion.runs.base import RunRules
from dockrion.runs.log import Clock
from dockrion.runs.observer import RunObserver, Unobserved
from dockrion.runs.output import OutputRules
from dockrion.runs.run import Run
from dockrion.runs.runner import RunLimits, Runner
from dockrion.runs.sentence import ErrorSentences
from dockrion.runs.spans import RunTracing
from dockrion.runs.threads import WorkerThreads
from dockrion.telemetry.base import Tracer


def runner_for(handler: Callable[..., Any], **options: Any) -> Runner:
    return runner_for_agent(CallableAgent(handler, name="kit:handler"), **options)


def runner_for_agent(
    agent: Agent,
    *,
    allowed: str | list[str] | None = None,
    stages: Callable[[], Sequence[Stage]] | None = None,
    outgoing: Outgoing = EVERYTHING,
    secrets: Sequence[str] = (),
    max_seconds: float = 60,
    threads: int = 64,
    max_concurrency: int = 0,
    max_queue: int = 1000,
    output: OutputRules | None = None,
    observer: RunObserver | None = None,
    tools: ToolRules | None = None,
    tracer: Tracer | None = None,
) -> Runner:
    return Runner(
        agent,
        RunRules(
            agent_name="test",
            framework="custom",
            output=output or OutputRules(None, strict=True, max_bytes=1 << 20, outgoing=outgoing),
            sentences=ErrorSentences(reveal=True, secrets=secrets, outgoing=outgoing),
            observer=observer or Unobserved(),
            tracing=None if tracer is None else RunTracing(tracer, "test", framework="custom"),
        ),
        threads=WorkerThreads(threads),
        events_filter=EventsFilter(allowed),
        arguments={},
        stages=stages or outgoing.stages,
        timestamps=Clock(),
        limits=RunLimits(
            max_seconds=max_seconds, max_concurrency=max_concurrency, max_queue=max_queue
        ),
        tools=tools,
    )


async def next_batch(run: Run) -> Batch:
    while (batch := await run.next()) is None:
        pass
    return batch


async def read_to_end(run: Run) -> list[Event]:
    """Return all events, after checking what must hold for every run."""
    events: list[Event] = []
    while True:
        batch = await next_batch(run)
        assert batch.first == len(events)
        events += batch.events
        if batch.is_last:
            return events


def tokens(events: Sequence[Event]) -> list[str]:
    return [str(getattr(event, "content", None)) for event in events if hasattr(event, "content")]


async def run_events(handler: Any, payload: Any = None, **options: Any) -> list[Event]:
    with anyio.fail_after(10):
        return await read_to_end(runner_for(handler, **options).start(payload, streams=True))


async def output_of(handler: Any, **options: Any) -> Any:
    last = (await run_events(handler, **options))[-1]
    assert isinstance(last, Complete), last
    return last.output
