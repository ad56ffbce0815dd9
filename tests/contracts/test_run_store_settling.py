"""What every run store must do with runs that are cancelled, settled or nobody's; one suite, all implementations."""

from __future__ import annotations

from time import time

import anyio
import pytest

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import CancelAskedError, LeaseLostError, RunStore
from tests.contracts.run_stores import (
    BRIEF,
    DONE,
    FAILED,
    Open,
    all_entries,
    claimed,
    entry,
    new_run,
    question,
    record_of,
    rules,
    status_of,
    until,
)

# Cancelling


async def test_a_cancel_is_a_promise(store: RunStore, other: RunStore) -> None:
    claim = await claimed(store)
    record = await other.ask_cancel("r1", "enough")
    assert record is not None
    assert (record.status, record.cancel_reason) == (RunStatus.RUNNING, "enough")
    again = await store.ask_cancel("r1", "another reason")
    assert again is not None
    assert again.cancel_reason == "enough"
    with pytest.raises(CancelAskedError, match="enough") as raised:
        await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    assert raised.value.reason == "enough"
    with pytest.raises(CancelAskedError):
        await store.finish(claim, [entry(0)], RunStatus.FAILED, FAILED)
    with pytest.raises(CancelAskedError):
        await store.interrupt(claim, [entry(0)], [question("i")], claimed=True)
    with pytest.raises(CancelAskedError):
        await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    assert (await record_of(store)).end == 0
    await store.append(claim, [entry(0)])
    await store.finish(claim, [entry(1)], RunStatus.CANCELLED, FAILED)
    record = await record_of(other)
    assert (record.status, record.cancel_reason) == (RunStatus.CANCELLED, "enough")


async def test_of_a_cancel_and_an_end_at_once_one_holds(store: RunStore, other: RunStore) -> None:
    for number in range(20):
        run_id = f"r{number}"
        claim = await claimed(store, run_id)
        outcome: dict[str, object] = {}

        async def finish(run_id: str = run_id, claim=claim, outcome=outcome) -> None:
            try:
                await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
                outcome["ended"] = True
            except CancelAskedError:
                outcome["ended"] = False

        async def cancel(run_id: str = run_id, outcome=outcome) -> None:
            record = await other.ask_cancel(run_id, "enough")
            assert record is not None
            outcome["promised"] = record.cancel_reason is not None

        async with anyio.create_task_group() as tasks:
            for call in (finish, cancel) if number % 2 else (cancel, finish):
                tasks.start_soon(call)
        assert outcome["promised"] is not outcome["ended"]


async def test_the_promise_holds_for_who_takes_the_run_over(open_store: Open) -> None:
    store = await open_store(rules(lease_seconds=BRIEF, max_attempts=2))
    await claimed(store)
    await store.ask_cancel("r1", "enough")
    found = []

    async def taken_over() -> bool:
        found.append(await store.claim("r1"))
        return found[-1] is not None

    await until(taken_over)
    assert found[-1].record.cancel_reason == "enough"
    with pytest.raises(CancelAskedError):
        await store.finish(found[-1], [entry(0)], RunStatus.COMPLETED, DONE)


@pytest.mark.parametrize("state", ["accepted", "waiting"])
async def test_what_nobody_has_is_settled_and_not_asked_to_cancel(
    store: RunStore, other: RunStore, state: str
) -> None:
    if state == "accepted":
        await store.create(new_run())
    else:
        claim = await claimed(store)
        await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    record = await record_of(store)
    assert await other.ask_cancel("r1", "enough") == record
    assert await store.get("r1") == record
    last = entry(record.end)
    assert await other.settle(record, last, RunStatus.CANCELLED, FAILED)
    after = await record_of(store)
    assert (after.status, after.result) == (RunStatus.CANCELLED, FAILED)
    assert after.end == record.end + 1
    assert after.finished_at is not None
    assert (await all_entries(store))[-1] == last
    assert await store.claim("r1") is None
    assert await store.resume("r1", {"i": 1}, still=()) is None


# Settling


@pytest.mark.parametrize("held", ["running", "waiting"])
async def test_what_somebody_has_cannot_be_settled(store: RunStore, held: str) -> None:
    claim = await claimed(store)
    if held == "waiting":
        await store.interrupt(claim, [entry(0)], [question("i")], claimed=True)
    record = await record_of(store)
    assert not await store.settle(record, entry(record.end), RunStatus.FAILED, FAILED)
    assert await store.get("r1") == record


async def test_a_run_that_has_changed_meanwhile_is_not_settled(store: RunStore) -> None:
    old = (await store.create(new_run())).record
    claim = await store.claim("r1")
    assert claim is not None
    await store.release(claim, begun=True)
    assert not await store.settle(old, entry(0), RunStatus.CANCELLED, FAILED)
    released = await record_of(store)
    claim = await store.claim("r1")
    assert claim is not None
    await store.append(claim, [entry(0)])
    await store.release(claim, begun=False)
    assert not await store.settle(released, entry(0), RunStatus.CANCELLED, FAILED)
    assert await status_of(store) == RunStatus.ACCEPTED
    now = await record_of(store)
    assert await store.settle(now, entry(1), RunStatus.CANCELLED, FAILED)
    assert not await store.settle(now, entry(1), RunStatus.CANCELLED, FAILED)
    assert (await record_of(store)).end == 2


@pytest.mark.parametrize("direct", [True, False])
async def test_a_run_whose_worker_is_gone_is_settled_once_its_lease_has_passed(
    open_store: Open, direct: bool
) -> None:
    limits = rules(lease_seconds=BRIEF)
    store, other = await open_store(limits), await open_store(limits)
    created = await store.create(new_run(direct=direct))
    claim = created.claim if direct else await store.claim("r1")
    assert claim is not None
    await store.append(claim, [entry(0)])
    record = await record_of(store)

    async def settled() -> bool:
        return await other.settle(record, entry(1), RunStatus.FAILED, FAILED)

    await until(settled)
    record = await record_of(store)
    assert (record.status, record.end) == (RunStatus.FAILED, 2)
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(2)])
    with pytest.raises(LeaseLostError):
        await store.finish(claim, [entry(2)], RunStatus.FAILED, FAILED)


async def test_of_a_settle_and_a_claim_at_once_one_holds(store: RunStore, other: RunStore) -> None:
    for number in range(20):
        run_id = f"r{number}"
        record = (await store.create(new_run(run_id))).record
        got: dict[str, bool] = {}

        async def settle(record=record, got=got) -> None:
            got["settled"] = await other.settle(record, entry(0), RunStatus.CANCELLED, FAILED)

        async def claim(run_id: str = run_id, got=got) -> None:
            got["claimed"] = await store.claim(run_id) is not None

        async with anyio.create_task_group() as tasks:
            for call in (settle, claim) if number % 2 else (claim, settle):
                tasks.start_soon(call)
        assert got["settled"] is not got["claimed"]


# What somebody must look after


async def test_what_is_claimed_or_has_just_been_accepted_is_not_overdue(store: RunStore) -> None:
    await store.create(new_run("r1"))
    await claimed(store, "r2")
    await store.create(new_run("r3", direct=True))
    claim = await claimed(store, "r4")
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    claim = await claimed(store, "r5")
    await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    assert await store.overdue(10) == []


async def test_what_nobody_claims_and_whose_lease_has_passed_is_overdue(open_store: Open) -> None:
    limits = rules(lease_seconds=0.5)
    store, other = await open_store(limits), await open_store(limits)
    began = time()
    await store.create(new_run("accepted"))
    await claimed(store, "lost")
    await store.create(new_run("direct", direct=True))
    claim = await claimed(store, "held")
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=True)
    claim = await claimed(store, "waiting")
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    claim = await claimed(store, "done")
    await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    found: set[str] = set()

    async def all_found() -> bool:
        found.update(record.run_id for record in await other.overdue(10))
        return len(found) >= 4

    await until(all_found)
    assert time() >= began + 0.45
    assert found == {"accepted", "lost", "direct", "held"}


async def test_of_many_that_look_one_is_told(open_store: Open) -> None:
    limits = rules(lease_seconds=1.2)
    store, other = await open_store(limits), await open_store(limits)
    for number in range(6):
        await store.create(new_run(f"r{number}"))
    all_made = time()
    await until(lambda: time() > all_made + 1.25)
    told: list[str] = []

    async def look(by: RunStore) -> None:
        told.extend(record.run_id for record in await by.overdue(2))

    began = time()
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(look, (store, other)[number % 2])
    assert time() < began + 0.4, "too slow a machine to tell"
    assert len(told) == len(set(told)) == 6
    # Again after a third of a lease, for as long as nobody does anything about it.
    for _ in range(2):
        seen: set[str] = set()

        async def seen_again(seen: set[str] = seen) -> bool:
            seen.update(record.run_id for record in await other.overdue(10))
            return len(seen) == 6

        await until(seen_again)


async def test_the_latest_reader_of_a_direct_run_is_known(store: RunStore, other: RunStore) -> None:
    await store.create(new_run(direct=True))
    assert (await record_of(store)).read_until == 0.0
    await other.reading("r1", 50)
    until_then = (await record_of(store)).read_until
    assert abs(until_then - time() - 50) < 10
    await store.reading("r1", 10)
    assert (await record_of(other)).read_until == until_then
    await store.reading("r1", 90)
    assert (await record_of(other)).read_until > until_then
