"""`dockrion worker`: a process that executes the runs of others, and ends as it should."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import NewRun, RunRecord, StoreRules
from dockrion.runs.store.sqlite import SqliteStore

from .conftest import Running, dockrion, working

Agent = Callable[..., Path]

SHARED = {"backend": "sqlite", "sqlite": {"path": "runs.db"}}
# How long a run takes is for the test to say; each leaves a file when it begins.
SERVICE = """
import asyncio
import time
from pathlib import Path

async def answer(payload):
    Path(payload["begun"]).touch()
    if "block" in payload:
        time.sleep(payload["block"])
    until = payload.get("until")
    while until is not None and not Path(until).exists():
        await asyncio.sleep(0.01)
    return {"answer": 42}
"""


@pytest.fixture
def shared_agent(agent: Agent, tmp_path: Path) -> Callable[..., Path]:
    def write(*, grace: float = 30, attempts: int = 1, **runs: Any) -> Path:
        path = agent(
            io_schema={},
            streaming=SHARED,
            expose={"shutdown_grace": grace},
            runs={"lease_seconds": 2, "max_attempts": attempts, **runs},
        )
        (tmp_path / "service.py").write_text(SERVICE)
        return path

    return write


class Runs:
    """The runs of the file, as a server of the agent has them."""

    def __init__(self, folder: Path) -> None:
        rules = StoreRules(lease_seconds=2, max_attempts=1, ttl_seconds=60, max_events=1000)
        self.store = SqliteStore(folder / "runs.db", rules)
        self._folder = folder
        self._count = 0

    async def accept(self, **payload: Any) -> str:
        self._count += 1
        run_id = f"run-{self._count}"
        new = NewRun(
            run_id=run_id,
            owner=ANONYMOUS,
            payload=json.dumps({"begun": str(self._begun(run_id)), **payload}).encode(),
            fingerprint=run_id,
        )
        await self.store.create(new)
        return run_id

    def _begun(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.begun"

    async def begun(self, run_id: str) -> None:
        async with asyncio.timeout(20):
            while not self._begun(run_id).exists():
                await asyncio.sleep(0.01)

    def has_begun(self, run_id: str) -> bool:
        return self._begun(run_id).exists()

    async def get(self, run_id: str) -> RunRecord:
        record = await self.store.get(run_id)
        assert record is not None
        return record

    async def until(self, run_id: str, status: RunStatus) -> RunRecord:
        async with asyncio.timeout(20):
            while (record := await self.get(run_id)).status is not status:
                await asyncio.sleep(0.02)
        return record


@pytest.fixture
async def runs(tmp_path: Path) -> AsyncGenerator[Runs]:
    one = Runs(tmp_path)
    await one.store.open()
    yield one
    await one.store.close()


async def end(worker: Running, number: int) -> int:
    """Send the signal; return the exit code."""
    return await asyncio.to_thread(worker.end, number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_executes_the_runs_that_wait_until_a_signal_and_exits_with_0(
    shared_agent: Agent, runs: Runs, number: signal.Signals
) -> None:
    before = await runs.accept()
    with working(shared_agent()) as worker:
        said = worker.until("Ctrl-C ends it")
        await runs.until(before, RunStatus.COMPLETED)
        after = await runs.accept()
        record = await runs.until(after, RunStatus.COMPLETED)
        code = await end(worker, number)

    assert code == 0
    assert said.endswith("runs.db, 16 at once; Ctrl-C ends it\n")
    assert record.result is not None
    assert b'"answer":42' in record.result


async def test_sigterm_lets_what_runs_finish_and_takes_nothing_more(
    shared_agent: Agent, runs: Runs, tmp_path: Path
) -> None:
    with working(shared_agent()) as worker:
        running = await runs.accept(until=str(tmp_path / "go"))
        await runs.begun(running)
        worker.process.send_signal(signal.SIGTERM)
        worker.until("draining")
        late = await runs.accept()
        (tmp_path / "go").touch()
        code = await asyncio.to_thread(worker.process.wait, 20)

    assert code == 0
    assert (await runs.get(running)).status is RunStatus.COMPLETED
    assert (await runs.get(late)).status is RunStatus.ACCEPTED
    assert not runs.has_begun(late)


async def test_what_outlasts_the_grace_is_handed_back_while_attempts_are_left(
    shared_agent: Agent, runs: Runs
) -> None:
    path = shared_agent(grace=0.2, attempts=2)
    with working(path) as worker:
        run_id = await runs.accept(until="never")
        await runs.begun(run_id)
        code = await end(worker, signal.SIGTERM)

    record = await runs.get(run_id)
    assert code == 0
    assert (record.status, record.attempt) == (RunStatus.ACCEPTED, 1)


async def test_what_outlasts_the_grace_ends_with_shutting_down_where_no_attempt_is_left(
    shared_agent: Agent, runs: Runs
) -> None:
    with working(shared_agent(grace=0.2)) as worker:
        run_id = await runs.accept(until="never")
        await runs.begun(run_id)
        code = await end(worker, signal.SIGTERM)

    record = await runs.get(run_id)
    assert code == 0
    assert record.status is RunStatus.FAILED
    assert record.result is not None
    assert b'"code":"SHUTTING_DOWN"' in record.result


async def test_what_waits_for_its_turn_is_handed_back_at_once_and_its_attempt_does_not_count(
    agent: Agent, runs: Runs, tmp_path: Path
) -> None:
    path = agent(
        io_schema={},
        streaming=SHARED,
        expose={"limits": {"max_concurrency": 1}},
        runs={"lease_seconds": 2},
    )
    (tmp_path / "service.py").write_text(SERVICE)
    with working(path) as worker:
        running = await runs.accept(until=str(tmp_path / "go"))
        await runs.begun(running)
        waiting = await runs.accept()
        await runs.until(waiting, RunStatus.RUNNING)
        worker.process.send_signal(signal.SIGTERM)
        record = await runs.until(waiting, RunStatus.ACCEPTED)
        (tmp_path / "go").touch()
        code = await asyncio.to_thread(worker.process.wait, 20)

    assert code == 0
    assert record.attempt == 0
    assert not runs.has_begun(waiting)
    assert (await runs.get(running)).status is RunStatus.COMPLETED


async def test_a_second_signal_ends_it_at_once(shared_agent: Agent, runs: Runs) -> None:
    with working(shared_agent()) as worker:
        run_id = await runs.accept(until="never")
        await runs.begun(run_id)
        worker.process.send_signal(signal.SIGTERM)
        worker.until("draining")
        began = time.monotonic()
        code = await end(worker, signal.SIGTERM)

    assert code == 0
    assert time.monotonic() - began < 10
    assert (await runs.get(run_id)).status is RunStatus.FAILED


async def test_a_second_signal_ends_it_although_the_agent_blocks_its_loop(
    shared_agent: Agent, runs: Runs
) -> None:
    with working(shared_agent()) as worker:
        run_id = await runs.accept(block=60)
        await runs.begun(run_id)
        # Two that come at once may be heard as one, and Python hears none that another thread of the process gets
        # until the sleep is over: so they are sent as somebody presses Ctrl-C who sees that nothing happens.
        while worker.process.poll() is None:
            worker.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)
        code = worker.process.returncode
        worker.until("ending without the event loop")

    assert code == 1


async def test_its_numbers_are_in_the_metrics_of_a_server_that_shares_the_folder(
    shared_agent: Agent, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    with working(shared_agent()) as worker:
        run_id = await runs.accept()
        await runs.until(run_id, RunStatus.COMPLETED)
        await end(worker, signal.SIGTERM)

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    assert registry.get_sample_value("dockrion_events_total", {"type": "complete"}) == 1


def test_the_memory_of_a_server_is_out_of_its_reach(agent: Agent) -> None:
    result = dockrion("worker", agent())

    assert (result.code, result.out) == (1, "")
    assert result.err == (
        "Error: streaming.backend: memory: the runs of a server are in its own memory, "
        "where a worker does not see them\n"
        "Hint: set it to sqlite (for processes of one machine) or redis\n"
    )


def test_without_async_runs_there_is_nothing_to_work_on(agent: Agent) -> None:
    result = dockrion("worker", agent(streaming={**SHARED, "async_runs": False}))

    assert result.code == 1
    assert result.err.startswith("Error: streaming.async_runs: false: there are no runs")


def test_an_agent_that_cannot_be_loaded_is_1(agent: Agent) -> None:
    result = dockrion("worker", agent("anwser", streaming=SHARED))

    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: agent.handler: ")
    assert "Traceback" not in result.err


def test_a_file_that_cannot_be_used_is_1(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "runs.db").write_text("no database at all, and long enough to look like something")

    result = dockrion("worker", agent(streaming=SHARED))

    assert result.code == 1
    assert result.err.startswith("Error: streaming.sqlite.path: ")
    assert "Traceback" not in result.err


def test_it_needs_no_keys_and_shows_where_its_secrets_are_from(
    agent: Agent, tmp_path: Path
) -> None:
    path = agent(
        streaming=SHARED,
        auth={"mode": "api_key"},
        secrets={"required": [{"name": "A_SECRET"}]},
    )
    (tmp_path / "given.env").write_text("A_SECRET=hush\n")

    with working(path, "-v", "-e", tmp_path / "given.env") as worker:
        said = worker.until("Ctrl-C ends it")
        code = worker.end(signal.SIGTERM)

    assert code == 0
    assert "secret  A_SECRET  " in said
    assert "hush" not in worker.said


def test_a_missing_secret_is_1(agent: Agent) -> None:
    path = agent(streaming=SHARED, secrets={"required": [{"name": "A_SECRET"}]})

    result = dockrion("worker", path)

    assert result.code == 1
    assert "Missing required secrets: A_SECRET" in result.err


def test_it_works_without_what_a_server_is_made_of() -> None:
    script = (
        "import sys, dockrion.runtime.working, dockrion.cli.worker\n"
        "print({'fastapi', 'starlette', 'uvicorn', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
