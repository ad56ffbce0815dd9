"""Measure a run store: one process writes, another follows. `python benchmarks/run_store.py --backend sqlite`.

Of each of four workloads it prints one line: one run flat out (events/s from the first append until the other process
has the last event), ten runs of 100 events/s each (how long an event takes from its append to the other process), the
replay of a whole run, and ten runs at once with ten subscribers each, who read as those of a server do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dockrion.backends.redis import RedisConnections
from dockrion.events.identity import Identity
from dockrion.events.model import Batch, Event, RunStatus, Token
from dockrion.runs.channel import Channels, ReadRules
from dockrion.runs.kept import entries_of
from dockrion.runs.observer import Unobserved
from dockrion.runs.reader import Gap, Reader
from dockrion.runs.store.base import Claim, Entry, NewRun, RunStore, StoreRules
from dockrion.runs.store.redis import RedisStore
from dockrion.runs.store.sqlite import SqliteStore

RULES = StoreRules(
    lease_seconds=60.0, max_attempts=1, ttl_seconds=600.0, max_events=1_000_000, max_bytes=1 << 30
)
# Where a backend is: a folder of this benchmark's own, unless `--at` says otherwise.
STORES: dict[str, Callable[[str], RunStore]] = {
    "sqlite": lambda at: SqliteStore(Path(at) / "runs.db", RULES),
    "redis": lambda at: RedisStore(RedisConnections(at), RULES, prefix="dockrion:{benchmark}:"),
}
BATCH_EVENTS = 1024
RUNS = 10
SUBSCRIBERS = 10
EVENTS_PER_SECOND = 100
TIMESTAMP = "2025-01-01T00:00:00.000Z"


async def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        at = options.at or folder
        if options.follow:
            await _follow(options.backend, at, options.follow)
            return
        if options.subscribe:
            await _subscribe(options.backend, at, options.subscribe)
            return
        store = STORES[options.backend](at)
        await store.open()
        for _ in range(options.rounds):
            await _flat_out(store, options.backend, at, options.events)
            await _paced(store, options.backend, at, options.seconds)
            await _fanned_out(store, options.backend, at, options.events // RUNS)
        await store.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=[*STORES], required=True)
    parser.add_argument("--at", help="a folder, or a URL")
    parser.add_argument("--events", type=int, default=100_000, help="of the run flat out")
    parser.add_argument("--seconds", type=int, default=5, help="of the paced runs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--follow", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--subscribe", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


# The process that writes


async def _flat_out(store: RunStore, backend: str, at: str, count: int) -> None:
    claim = await _claimed(store)
    follower = await _start_follower(backend, at, [claim.run_id])
    began = time.perf_counter()
    await _write_flat_out(store, claim, count)
    written = time.perf_counter() - began
    seen = await _result(follower)
    taken = time.perf_counter() - began
    print(
        f"one run flat out: {seen['events'] / taken:,.0f} events/s end to end,"
        f" {seen['events'] / written:,.0f} written"
    )
    reader = STORES[backend](at)
    await reader.open()
    began = time.perf_counter()
    replayed, size = await _replay(reader, claim.run_id)
    taken = time.perf_counter() - began
    await reader.close()
    print(f"replay of {replayed:,} events ({size / 1e6:.1f} MB): {taken:.3f} s")


async def _paced(store: RunStore, backend: str, at: str, seconds: int) -> None:
    claims = [await _claimed(store) for _ in range(RUNS)]
    follower = await _start_follower(backend, at, [claim.run_id for claim in claims])
    async with asyncio.TaskGroup() as tasks:
        for number, claim in enumerate(claims):
            tasks.create_task(_write_paced(store, claim, number / RUNS, seconds))
    latencies = sorted((await _result(follower))["latencies"])
    count = len(latencies)
    assert count == RUNS * (EVENTS_PER_SECOND * seconds + 1), count
    print(
        f"{RUNS} runs of {EVENTS_PER_SECOND} events/s: p50 {latencies[count // 2] * 1000:.1f} ms,"
        f" p99 {latencies[count * 99 // 100] * 1000:.1f} ms, most {latencies[-1] * 1000:.1f} ms"
    )


async def _fanned_out(store: RunStore, backend: str, at: str, count: int) -> None:
    claims = [await _claimed(store) for _ in range(RUNS)]
    run_ids = [claim.run_id for claim in claims]
    follower = await _start_follower(backend, at, run_ids, how="--subscribe")
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for claim in claims:
            tasks.create_task(_write_flat_out(store, claim, count))
    delivered = (await _result(follower))["events"]
    taken = time.perf_counter() - began
    assert delivered >= RUNS * SUBSCRIBERS * count, delivered
    print(f"{RUNS} runs x {SUBSCRIBERS} subscribers: {delivered / taken:,.0f} events/s delivered")


async def _write_flat_out(store: RunStore, claim: Claim, count: int) -> None:
    end = 0
    while end < count:
        first, end = end, end + BATCH_EVENTS
        events: list[Event] = [Token(f"token {n}") for n in range(first, end)]
        await store.append(claim, entries_of(claim.run_id, Batch(events, first, TIMESTAMP)))
    await _finish(store, claim, end)


async def _write_paced(store: RunStore, claim: Claim, offset: float, seconds: int) -> None:
    began = time.perf_counter() + offset / EVENTS_PER_SECOND
    for sequence in range(EVENTS_PER_SECOND * seconds):
        due = began + sequence / EVENTS_PER_SECOND
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await store.append(claim, [_stamped(sequence)])
    await _finish(store, claim, EVENTS_PER_SECOND * seconds)


def _stamped(sequence: int) -> Entry:
    # The clock is that of the machine, so the other process can compare.
    return Entry(sequence, sequence + 1, b"data: %d %s\n\n" % (time.monotonic_ns(), b"x" * 150))


async def _claimed(store: RunStore) -> Claim:
    new = NewRun(
        run_id=f"r{time.monotonic_ns()}",
        owner=Identity("bench", "none"),
        payload=b"{}",
        fingerprint="",
    )
    await store.create(new)
    claim = await store.claim(new.run_id)
    assert claim is not None
    return claim


async def _finish(store: RunStore, claim: Claim, first: int) -> None:
    await store.finish(claim, [_stamped(first)], RunStatus.COMPLETED, b"{}")


async def _start_follower(
    backend: str, at: str, run_ids: list[str], *, how: str = "--follow"
) -> asyncio.subprocess.Process:
    follower = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, "--backend", backend, "--at", at, how, *run_ids),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 26,
    )
    assert follower.stdout is not None
    assert await follower.stdout.readline() == b"watching\n"
    return follower


async def _result(follower: asyncio.subprocess.Process) -> dict[str, Any]:
    assert follower.stdout is not None
    line = await follower.stdout.readline()
    await follower.wait()
    return json.loads(line)


async def _replay(store: RunStore, run_id: str) -> tuple[int, int]:
    start = size = 0
    while (page := await store.read(run_id, start)) is not None and page.entries:
        start = page.entries[-1].end
        size += sum(len(entry.body) for entry in page.entries)
    return start, size


# The process that follows


async def _follow(backend: str, at: str, run_ids: list[str]) -> None:
    store = STORES[backend](at)
    await store.open()
    latencies: list[float] = []
    ready = asyncio.Barrier(len(run_ids) + 1)
    followers = [
        asyncio.ensure_future(_follow_one(store, id_, ready, latencies)) for id_ in run_ids
    ]
    await ready.wait()
    print("watching", flush=True)
    events = sum(await asyncio.gather(*followers))
    await store.close()
    print(json.dumps({"events": events, "latencies": latencies}), flush=True)


async def _follow_one(
    store: RunStore, run_id: str, ready: asyncio.Barrier, latencies: list[float]
) -> int:
    news = asyncio.Event()
    await store.watch(run_id, news.set)
    await ready.wait()
    start = 0
    while True:
        news.clear()
        page = await store.read(run_id, start)
        assert page is not None
        now = time.monotonic_ns()
        for entry in page.entries:
            if entry.body.startswith(b"data: "):
                latencies.append((now - int(entry.body[6:].split(b" ", 1)[0])) / 1e9)
            start = entry.end
        if start == page.end:
            if page.status is RunStatus.COMPLETED:
                store.unwatch(run_id, news.set)
                return start
            await news.wait()


async def _subscribe(backend: str, at: str, run_ids: list[str]) -> None:
    store = STORES[backend](at)
    await store.open()
    rules = ReadRules(max_readers=SUBSCRIBERS, heartbeat_events=False)
    channels = Channels(store, rules, Unobserved())
    readers = [channels.follow(run_id, 0) for run_id in run_ids for _ in range(SUBSCRIBERS)]
    print("watching", flush=True)
    events = sum(await asyncio.gather(*map(_read_to_end, readers)))
    channels.close()
    await store.close()
    print(json.dumps({"events": events}), flush=True)


async def _read_to_end(reader: Reader) -> int:
    while not reader.ended:
        read = await reader.next()
        assert not isinstance(read, Gap)
    reader.leave()
    return reader.position


if __name__ == "__main__":
    asyncio.run(main())
