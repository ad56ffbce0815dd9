"""What the reaper, and a cancel, make of runs that nobody has."""

from __future__ import annotations

from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import RunStatus
from dockrion.runs.channel import Channels, ReadRules
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.log import Clock
from dockrion.runs.observer import Unobserved
from dockrion.runs.reaper import Reaper
from dockrion.runs.service import RunService, ServiceRules
from dockrion.runs.store.base import Entry, NewRun, RunRecord, StoreRules
from dockrion.runs.store.memory import MemoryStore

RULES = StoreRules(lease_seconds=15, max_attempts=1, ttl_seconds=60, max_events=1000)


def reaper_of(store: MemoryStore) -> Reaper:
    return Reaper(store, LocalDispatcher(store), Clock().now, lambda _: False, Unobserved())


async def handed_back(store: MemoryStore, run_id: str = "run") -> None:
    """Leave a run that a worker has handed back after its cancel was promised, and that nobody has taken since."""
    await store.create(NewRun(run_id=run_id, owner=ANONYMOUS, payload=b"{}", fingerprint=""))
    claim = await store.claim(run_id)
    assert claim is not None
    await store.ask_cancel(run_id, "Enough.")
    await store.release(claim, begun=False)
    store._runs[run_id].seen = -RULES.lease_seconds * 10


async def status_of(store: MemoryStore, run_id: str = "run") -> RunStatus:
    record = await store.get(run_id)
    assert record is not None
    return record.status


async def test_a_promised_cancel_of_a_run_that_was_handed_back_needs_no_worker() -> None:
    store = MemoryStore(RULES)
    await handed_back(store)
    await reaper_of(store).look()
    assert await status_of(store) is RunStatus.CANCELLED


async def test_a_second_cancel_of_a_run_that_was_handed_back_ends_it_at_once() -> None:
    store = MemoryStore(RULES)
    await handed_back(store)
    service = RunService(
        store,
        LocalDispatcher(store),
        Channels(store, ReadRules(max_readers=9, heartbeat_events=False), Unobserved()),
        ServiceRules(window_seconds=None, concurrency=0),
        Clock().now,
        str,
    )
    record = await service.cancel("run", ANONYMOUS, "Once more.")
    assert record.status is RunStatus.CANCELLED
    page = await store.read("run", 0)
    assert page is not None
    assert b'"reason":"Enough."' in page.entries[-1].body


class BreaksAtOne(MemoryStore):
    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        if record.run_id == "first":
            raise ZeroDivisionError
        return await super().settle(record, entry, status, result)


async def test_a_run_that_cannot_be_looked_after_does_not_stand_in_the_way_of_others() -> None:
    store = BreaksAtOne(RULES)
    await handed_back(store, "first")
    await handed_back(store, "second")
    await reaper_of(store).look()
    assert await status_of(store, "second") is RunStatus.CANCELLED
