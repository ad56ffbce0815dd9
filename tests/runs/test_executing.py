"""What executors and pumps do when a cancel, a shutdown or a silent store comes at the worst moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dockrion import StreamContext
from dockrion.events.identity import ANONYMOUS
from dockrion.events.model import RunStatus
from dockrion.runs.channel import Channels, ReadRules
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.executor import Executor
from dockrion.runs.log import Clock
from dockrion.runs.observer import Unobserved
from dockrion.runs.reaper import Reaper
from dockrion.runs.store.base import (
    Beat,
    Claim,
    Entry,
    NewRun,
    Question,
    RunRecord,
    StoreError,
    StoreRules,
)
from dockrion.runs.store.memory import MemoryStore

from .kit import runner_for

LEASE_SECONDS = 0.6


def rules(max_attempts: int = 1) -> StoreRules:
    return StoreRules(
        lease_seconds=LEASE_SECONDS, max_attempts=max_attempts, ttl_seconds=60, max_events=1000
    )


async def executor_for(handler: Callable[..., Any], store: MemoryStore) -> Executor:
    channels = Channels(store, ReadRules(max_readers=9, heartbeat_events=False), Unobserved())
    executor = Executor(store, channels, runner_for(handler), Clock().now, _to_nobody)
    await executor.open()
    return executor


async def _to_nobody(run_id: str) -> None: ...


async def accepted(store: MemoryStore, run_id: str = "run") -> str:
    new = NewRun(run_id=run_id, owner=ANONYMOUS, payload=b"{}", fingerprint="")
    await store.create(new)
    return run_id


async def record_of(store: MemoryStore, run_id: str = "run") -> RunRecord:
    record = await store.get(run_id)
    assert record is not None
    return record


class CancelledAtQuestions(MemoryStore):
    """Somebody cancels the run in the moment in which its questions are about to be stored."""

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        # Nobody hears of it but the store.
        heard, self._order_came = self._order_came, None
        await self.ask_cancel(claim.run_id, "Enough.")
        self._order_came = heard
        await super().interrupt(claim, entries, questions, claimed=claimed)


async def test_a_cancel_that_comes_before_the_questions_are_stored_leaves_no_hole() -> None:
    async def handle(payload: Any, context: StreamContext) -> None:
        await context.ask("Shall I?")

    store = CancelledAtQuestions(rules())
    executor = await executor_for(handle, store)
    await executor.execute(await accepted(store))
    record = await record_of(store)
    assert record.status is RunStatus.CANCELLED
    page = await store.read("run", 0)
    assert page is not None
    body = b"".join(entry.body for entry in page.entries)
    names = [line for line in body.split(b"\n") if line.startswith(b"event: ")]
    assert names == [b"event: started", b"event: interrupt", b"event: cancelled"]


class SlowToAppend(MemoryStore):
    """The first events are stored when the test says so."""

    def __init__(self, rules: StoreRules) -> None:
        super().__init__(rules)
        self.appending = asyncio.Event()
        self.go_on = asyncio.Event()

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        self.appending.set()
        await self.go_on.wait()
        await super().append(claim, entries)


async def test_a_run_that_came_to_its_end_before_it_was_handed_back_is_not_run_again() -> None:
    ended = asyncio.Event()

    async def handle(payload: Any) -> dict[str, Any]:
        await store.appending.wait()
        ended.set()
        return {"once": True}

    store = SlowToAppend(rules(max_attempts=2))
    executor = await executor_for(handle, store)
    task = asyncio.create_task(executor.execute(await accepted(store)))
    await ended.wait()
    await asyncio.sleep(0)
    executor.hand_back()
    store.go_on.set()
    await task
    assert (await record_of(store)).status is RunStatus.COMPLETED


class Silent(MemoryStore):
    """Does not answer heartbeats; each takes as long as it may."""

    silent = True

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        if self.silent:
            raise StoreError("It does not answer.")
        return super().heartbeat(claims)


@pytest.mark.parametrize(
    ("max_attempts", "status"), [(1, RunStatus.FAILED), (2, RunStatus.ACCEPTED)]
)
async def test_a_run_whose_lease_cannot_be_renewed_stops_before_it_ends(
    max_attempts: int, status: RunStatus
) -> None:
    stopped = asyncio.Event()

    async def handle(payload: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    store = Silent(rules(max_attempts))
    executor = await executor_for(handle, store)
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = asyncio.create_task(executor.execute(await accepted(store)))
    await stopped.wait()
    assert LEASE_SECONDS / 3 < loop.time() - began < LEASE_SECONDS
    await task
    # The store has not answered, but nobody else has the run.
    record = await record_of(store)
    assert record.status is status
    await executor.close()


async def test_a_store_that_is_back_in_time_costs_no_run() -> None:
    store = Silent(rules())

    async def handle(payload: Any) -> None:
        await asyncio.sleep(LEASE_SECONDS * 0.7)
        store.silent = False
        await asyncio.sleep(LEASE_SECONDS)

    executor = await executor_for(handle, store)
    await executor.execute(await accepted(store))
    assert (await record_of(store)).status is RunStatus.FAILED  # no output, but an end of its own
    page = await store.read("run", 0)
    assert page is not None
    assert b"INVALID_OUTPUT" in page.entries[-1].body
    await executor.close()


class Full(MemoryStore):
    """Its disk is full."""

    claims = 0

    async def claim(self, run_id: str) -> Claim | None:
        self.claims += 1
        raise StoreError("The database file cannot grow: the disk is full.")


async def test_a_run_that_cannot_be_claimed_is_not_tried_at_once_again() -> None:
    async def handle(payload: Any) -> None: ...

    store = Full(rules())
    executor = await executor_for(handle, store)
    task = asyncio.create_task(executor.execute(await accepted(store)))
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()


async def test_an_earlier_attempt_of_this_process_ends_before_the_next_one_begins() -> None:
    attempts: list[str] = []

    async def handle(payload: Any) -> None:
        attempts.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            attempts.append("ended")

    store = MemoryStore(rules(max_attempts=2))
    executor = await executor_for(handle, store)
    run_id = await accepted(store)
    first = asyncio.create_task(executor.execute(run_id))
    while not attempts:
        await asyncio.sleep(0)
    # As after a freeze: its lease has passed, and it is delivered once more.
    store._runs[run_id].lease_ends = 0.0
    second = asyncio.create_task(executor.execute(run_id))
    while len(attempts) < 3:
        await asyncio.sleep(0)
    assert attempts == ["begun", "ended", "begun"]
    await first
    record = await store.ask_cancel(run_id, "Enough.")
    assert record is not None
    await second
    assert (await record_of(store)).status is RunStatus.CANCELLED
    await executor.close()


class SlowToFinish(MemoryStore):
    finishing = asyncio.Event()

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        self.finishing.set()
        await asyncio.sleep(0.05)
        await super().finish(claim, entries, status, result)


async def test_idle_waits_for_the_last_events_of_runs_that_were_dispatched() -> None:
    async def handle(payload: Any) -> dict[str, Any]:
        return {}

    store = SlowToFinish(rules())
    executor = await executor_for(handle, store)
    task = asyncio.create_task(executor.execute(await accepted(store)))
    await store.finishing.wait()
    await executor.idle()
    assert (await record_of(store)).status is RunStatus.COMPLETED
    await task


class SilentAtOrders(MemoryStore):
    """Does not answer the first time that it is asked what to do, and that it is told what was done."""

    def __init__(self, rules: StoreRules) -> None:
        super().__init__(rules)
        self.silent = {"get", "answers_taken"}

    async def get(self, run_id: str) -> RunRecord | None:
        self._fail("get")
        return await super().get(run_id)

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        await super().answers_taken(claim, interrupt_ids)
        self._fail("answers_taken")

    def _fail(self, name: str) -> None:
        if name in self.silent:
            self.silent.remove(name)
            raise StoreError("It does not answer.")


async def test_an_answer_is_not_lost_where_the_store_does_not_answer_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(payload: Any, context: StreamContext) -> Any:
        return {"answer": await context.ask("Shall I?")}

    monkeypatch.setattr("dockrion.runs.executor._PAUSE_SECONDS", 0.01)
    store = SilentAtOrders(rules())
    executor = await executor_for(handle, store)
    task = asyncio.create_task(executor.execute(await accepted(store)))
    async with asyncio.timeout(5):
        while store._runs["run"].record.status is not RunStatus.INTERRUPTED:
            await asyncio.sleep(0)
        [asked] = store._runs["run"].record.questions
        await store.resume("run", {asked.interrupt_id: "yes"}, still=[])
        await task
    assert not store.silent
    record = await record_of(store)
    assert record.status is RunStatus.COMPLETED
    assert record.result is not None
    assert b'"yes"' in record.result
    await executor.close()


class TakesHeartbeatsAlone(MemoryStore):
    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        raise StoreError("It takes no events.")


async def test_a_run_whose_events_are_not_taken_is_given_up_though_its_heartbeats_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dockrion.runs.pump._LAST_RETRY_SECONDS", LEASE_SECONDS / 20)

    async def handle(payload: Any) -> None:
        await asyncio.Event().wait()

    store = TakesHeartbeatsAlone(rules())
    executor = await executor_for(handle, store)
    async with asyncio.timeout(10 * LEASE_SECONDS):
        await executor.execute(await accepted(store))
    assert "run" not in executor
    # Its lease passes, and others look after it.
    async with asyncio.timeout(5):
        while not await store.overdue(1):
            await asyncio.sleep(LEASE_SECONDS / 3)
    await executor.close()


async def test_a_cancel_that_was_promised_needs_no_worker_any_more() -> None:
    store = MemoryStore(rules(max_attempts=2))
    claim = await store.claim(await accepted(store))
    assert claim is not None
    await store.ask_cancel("run", "Enough.")
    await store.release(claim, begun=True)
    reaper = Reaper(store, LocalDispatcher(store), Clock().now, lambda _: False, Unobserved())
    async with asyncio.timeout(5):
        while (await record_of(store)).status is RunStatus.ACCEPTED:
            await asyncio.sleep(LEASE_SECONDS / 3)
            await reaper.look()
    assert (await record_of(store)).status is RunStatus.CANCELLED


class SilentAtFirst(MemoryStore):
    silent = True

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        if self.silent:
            self.silent = False
            raise StoreError("It does not answer.")
        await super().watch_orders(changed)


async def test_a_store_that_is_away_when_the_agent_is_there_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(payload: Any) -> None: ...

    monkeypatch.setattr("dockrion.runs.executor._PAUSE_SECONDS", 0.01)
    store = SilentAtFirst(rules())
    await executor_for(handle, store)
    assert store._order_came is not None


async def test_code_that_waits_for_an_answer_for_too_long_ends_with_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(payload: Any, context: StreamContext) -> Any:
        return {"answer": await context.ask("Shall I?")}

    monkeypatch.setattr("dockrion.runs.pump.MAX_WAIT_SECONDS", 0.05)
    store = MemoryStore(rules())
    executor = await executor_for(handle, store)
    async with asyncio.timeout(5):
        await executor.execute(await accepted(store))
    record = await record_of(store)
    assert record.status is RunStatus.FAILED
    assert record.result is not None
    assert b"TIMEOUT" in record.result
    await executor.close()
