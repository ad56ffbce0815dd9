"""Runs in a SQLite file: several processes, kill -9, and what is swept."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from dockrion.events.model import RunStatus
from dockrion.runs.store import sqlite_queries
from dockrion.runs.store.base import RunStore
from dockrion.runs.store.sqlite import SqliteStore
from tests.contracts.run_stores import (
    DONE,
    RULES,
    Calls,
    all_entries,
    claimed,
    entry,
    new_run,
    record_of,
    rules,
    until,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
async def store(path: Path) -> AsyncGenerator[SqliteStore]:
    opened = SqliteStore(path, RULES)
    await opened.open()
    yield opened
    await opened.close()


@contextmanager
def worker(does: str, path: Path, *, lease: float = 30.0) -> Generator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.runs.store.worker", does, str(path), str(lease)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def rest_of(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.read().split()


@pytest.mark.parametrize("batches", random.Random(6).sample(range(1, 400), 4))
async def test_a_killed_writer_loses_nothing_that_was_confirmed(path: Path, batches: int) -> None:
    with worker("append", path, lease=0.2) as process:
        await anyio.to_thread.run_sync(lines_until, process, batches)
        process.kill()
        said = await anyio.to_thread.run_sync(rest_of, process)
    # The last line may have been cut.
    confirmed = int(said[-2]) if len(said) > 1 else batches * 4
    store = SqliteStore(path, rules(lease_seconds=0.2, max_attempts=2))
    await store.open()
    record = await record_of(store)
    assert record.end >= confirmed
    entries = await all_entries(store, start=record.first)
    assert [one.first for one in entries[1:]] == [one.end for one in entries[:-1]]
    for one in entries:
        assert one == entry(one.first, one.end - one.first)
    assert entries[-1].end == record.end
    assert record.end % 4 == 0

    async def taken_over() -> bool:
        claim = await store.claim("r1")
        if claim is not None:
            await store.finish(claim, [entry(claim.record.end)], RunStatus.COMPLETED, DONE)
        return claim is not None

    await until(taken_over)
    assert (await record_of(store)).end == record.end + 1
    await store.close()


async def test_another_process_is_followed_as_it_writes(store: SqliteStore, path: Path) -> None:
    news = Calls()
    await store.watch("r1", news)
    with worker("append", path) as process:
        at = 0
        while at < 400:
            page = await store.read("r1", at)
            if page is None or not page.entries:
                await news.come(more_than=len(news.seen))
                continue
            for one in page.entries:
                assert one.first == at
                at = one.end
        process.kill()


async def test_workers_of_two_processes_share_the_work(store: SqliteStore, path: Path) -> None:
    names = [f"r{number}" for number in range(150)]
    with worker("claim", path) as one, worker("claim", path) as two:
        for process in (one, two):
            assert await anyio.to_thread.run_sync(lines_until, process, 1) == ["ready"]
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(store.create, new_run(name))

        async def all_done() -> bool:
            page = await store.list(
                owner_id=None, status=RunStatus.COMPLETED, cursor=None, limit=200
            )
            return len(page.records) == len(names)

        await until(all_done, seconds=30)
        for process in (one, two):
            assert process.stdin is not None
            process.stdin.close()
        shares = [await anyio.to_thread.run_sync(rest_of, process) for process in (one, two)]
    assert sorted(shares[0] + shares[1]) == sorted(names)
    for name in names:
        assert await all_entries(store, name) == [entry(0), entry(1)]


async def test_runs_outlive_the_process(path: Path) -> None:
    first = SqliteStore(path, RULES)
    await first.open()
    claim = await claimed(first)
    await first.append(claim, [entry(0, 3)])
    await first.close()
    second = SqliteStore(path, RULES)
    await second.open()
    await second.append(claim, [entry(3)])
    assert await all_entries(second) == [entry(0, 3), entry(3)]
    await second.close()


async def ended(store: RunStore, run_id: str, *, entries: int, size: int) -> None:
    claim = await claimed(store, run_id, payload=b"1" * 1000)
    await store.append(claim, [entry(number, size=size) for number in range(entries - 1)])
    await store.finish(claim, [entry(entries - 1)], RunStatus.COMPLETED, DONE)


async def test_a_sweep_gives_everything_back(path: Path) -> None:
    store = SqliteStore(path, rules(ttl_seconds=0.0))
    await store.open()
    for number in range(200):
        await ended(store, f"r{number}", entries=3, size=500)
    await ended(store, "large", entries=150, size=100_000)
    await claimed(store, "running")
    await store.sweep()
    counts = await store.database.read(
        lambda db: [
            db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("runs", "entries", "payloads")
        ]
    )
    assert counts == [1, 0, 1]
    # Written again in full, the file does not grow.
    await store.close()
    size = path.stat().st_size
    await store.open()
    for number in range(200):
        await ended(store, f"s{number}", entries=3, size=500)
    await ended(store, "large", entries=150, size=100_000)
    await store.close()
    assert path.stat().st_size <= size * 1.1


async def test_free_pages_go_back_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_queries, "_FREE_PAGES", 10)
    store = SqliteStore(path, rules(ttl_seconds=0.0))
    await store.open()
    await ended(store, "large", entries=100, size=100_000)
    await store.sweep()
    await store.close()
    assert path.stat().st_size < 1_000_000


async def test_a_sweep_is_done_in_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_queries, "_SWEEP_BYTES", 1000)
    store = SqliteStore(path, rules(ttl_seconds=0.0))
    await store.open()
    for number in range(3):
        await ended(store, f"r{number}", entries=10, size=400)
    steps = 1
    while await store.database.write(sqlite_queries.sweep_some):
        steps += 1
    assert steps >= 10
    left = await store.database.read(
        lambda db: db.execute("SELECT count(*) FROM entries").fetchone()[0]
    )
    assert left == 0
    await store.close()


async def test_a_claim_whose_answer_nobody_got_is_handed_back(store: SqliteStore) -> None:
    await store.create(new_run())
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.claim, "r1")
            await anyio.sleep(0)
            scope.cancel()
    await store.database.write(lambda _: None)
    record = await record_of(store)
    assert (record.status, record.attempt, record.claimed) == (RunStatus.ACCEPTED, 0, False)
    assert await store.claim("r1") is not None
