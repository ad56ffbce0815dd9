"""A process that works on the runs of a SQLite file: `append` writes events until it is killed, `claim` ends runs."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dockrion.events.model import RunStatus
from dockrion.runs.store.sqlite import SqliteStore
from tests.contracts.run_stores import DONE, claimed, entry, rules


async def append(store: SqliteStore) -> None:
    """Say after each batch up to where its events are confirmed."""
    claim = await claimed(store)
    at = 0
    while True:
        await store.append(claim, [entry(at, 3), entry(at + 3)])
        at += 4
        print(at, flush=True)


async def claim(store: SqliteStore) -> None:
    """End whatever can be claimed, and say which; until the input ends."""
    work = asyncio.Event()
    store.watch_work(work.set)
    closed = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
    print("ready", flush=True)
    while not closed.done():
        work.clear()
        for run_id in await store.claimable(5):
            if (claim := await store.claim(run_id)) is not None:
                await store.append(claim, [entry(0)])
                await store.finish(claim, [entry(1)], RunStatus.COMPLETED, DONE)
                print(run_id, flush=True)
                work.set()
        await asyncio.wait(
            [asyncio.ensure_future(work.wait()), closed], return_when=asyncio.FIRST_COMPLETED
        )


async def main() -> None:
    does = {"append": append, "claim": claim}[sys.argv[1]]
    store = SqliteStore(Path(sys.argv[2]), rules(lease_seconds=float(sys.argv[3])))
    await store.open()
    await does(store)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
