"""Metrics of runs that are kept: each once, whatever process has it, and whoever ends it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from dockrion.backends.base import BackendError
from dockrion.events.context import StreamContext
from dockrion.runtime import metrics
from dockrion.runtime.traffic import Tally, Traffic
from dockrion.testing import ScriptedAgent, app_for, running
from tests.runtime.runs.kit import ask, becomes, started
from tests.runtime.test_metrics import Samples, by_label, scrape, value


def shared(folder: Path, *, worker: bool) -> dict[str, Any]:
    return {
        "streaming": {
            "backend": "sqlite",
            "sqlite": {"path": str(folder / "runs.db")},
            "worker": worker,
        }
    }


async def test_a_run_that_asks_is_interrupted_until_it_is_answered() -> None:
    async def asks(payload: Any, context: StreamContext) -> Any:
        return {"answer": await context.ask("how many?")}

    async with running(app_for(asks)) as app:
        run_id = await started(app)
        await becomes(app, run_id, "INTERRUPTED")
        waiting = await scrape(app)
        await ask(app, "POST", f"/runs/{run_id}/resume", b"3")
        await becomes(app, run_id, "COMPLETED")
        after = await scrape(app)

    assert by_label(waiting, "runs", "status") == {"INTERRUPTED": 1}
    assert by_label(after, "runs", "status") == {"COMPLETED": 1}
    assert by_label(after, "events_total", "type") == {"started": 1, "interrupt": 1, "complete": 1}


async def test_what_waits_in_a_backend_is_told_by_each_process_and_what_runs_by_its_own(
    tmp_path: Path,
) -> None:
    gate = asyncio.Event()
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(
            running(app_for(ScriptedAgent(), **shared(tmp_path, worker=False)))
        )
        runs = [await started(front) for _ in range(3)]
        before = await scrape(front)
        cancelled = await ask(front, "DELETE", f"/runs/{runs[2]}")
        worker = await stack.enter_async_context(
            running(app_for(ScriptedAgent([gate, "done"]), **shared(tmp_path, worker=True)))
        )
        for run_id in runs[:2]:
            await becomes(worker, run_id, "RUNNING")
        during = [await scrape(app) for app in (front, worker)]
        gate.set()
        for run_id in runs[:2]:
            await becomes(front, run_id, "COMPLETED")
        after = [await scrape(app) for app in (front, worker)]

    assert cancelled.status == 200
    assert value(before, "queue_depth") == 3
    assert statuses(before) == {"ACCEPTED": 3}
    assert [value(one, "queue_depth") for one in during] == [0, 0]
    # Nobody had it who could have counted it when it was cancelled.
    assert [statuses(one) for one in during] == [{"CANCELLED": 1}, {"RUNNING": 2}]
    assert [statuses(one) for one in after] == [{"CANCELLED": 1}, {"COMPLETED": 2}]
    assert by_label(after[0], "events_total", "type") == {"cancelled": 1}


async def test_what_cannot_be_known_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(app_for(ScriptedAgent(), **shared(tmp_path, worker=False))) as app:
        await started(app)

        async def fails() -> Any:
            raise BackendError("away")

        monkeypatch.setattr(app.state.dockrion.runs.store, "waiting", fails)
        samples = await scrape(app)

    assert value(samples, "queue_depth") is None
    assert value(samples, "runs", status="ACCEPTED") is None
    assert value(samples, "runs", status="RUNNING") == 0


async def test_a_backend_that_is_silent_does_not_hold_a_scrape_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_BACKEND_SECONDS", 0.01)
    async with running(app_for(ScriptedAgent(), **shared(tmp_path, worker=False))) as app:
        monkeypatch.setattr(app.state.dockrion.runs.store, "waiting", asyncio.Event().wait)
        with anyio.fail_after(5):
            samples = await scrape(app)

    assert value(samples, "queue_depth") is None


async def test_what_runs_without_a_call_is_counted_as_it_goes_on() -> None:
    handed_on: asyncio.Queue[Tally] = asyncio.Queue()
    traffic = Traffic()
    traffic.sinks.append(handed_on.put_nowait)

    traffic.at_work(1)
    traffic.first_token(0.1)
    with anyio.fail_after(5):
        first = await handed_on.get()
        traffic.first_token(0.2)
        traffic.at_work(0)
        last = await handed_on.get()

    assert (first.first_tokens, last.first_tokens) == ([0.1], [0.2])


def statuses(samples: Samples) -> dict[str, float]:
    return by_label(samples, "runs", "status")
