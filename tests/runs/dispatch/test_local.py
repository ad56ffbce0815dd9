"""Dispatch on one machine, where looking for work fails."""

from __future__ import annotations

import asyncio

import pytest

from dockrion.events.identity import ANONYMOUS
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.store.base import NewRun, StoreRules
from dockrion.runs.store.memory import MemoryStore

RULES = StoreRules(lease_seconds=15, max_attempts=1, ttl_seconds=60, max_events=1000)


class BreaksOnce(MemoryStore):
    broken = True

    async def claimable(self, limit: int) -> list[str]:
        if self.broken:
            self.broken = False
            raise ZeroDivisionError
        return await super().claimable(limit)


async def test_a_bug_in_one_look_does_not_end_the_looking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = BreaksOnce(RULES)
    executed: list[str] = []
    found = asyncio.Event()

    async def execute(run_id: str) -> None:
        await store.claim(run_id)
        executed.append(run_id)
        found.set()

    dispatcher = LocalDispatcher(store)
    dispatcher.work(execute, 1)
    while store.broken:
        await asyncio.sleep(0)
    await store.create(NewRun(run_id="run", owner=ANONYMOUS, payload=b"", fingerprint=""))
    async with asyncio.timeout(5):
        await found.wait()
    assert executed == ["run"]
    assert "looking for runs failed" in caplog.text
    await dispatcher.close()
