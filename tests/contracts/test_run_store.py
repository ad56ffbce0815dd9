"""What every run store must do with records and claims; one suite, all implementations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import time

import anyio
import pytest

from dockrion.errors import ValidationError
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import Claim, Created, LeaseLostError, RunStore
from tests.contracts.run_stores import (
    BOB,
    BRIEF,
    DONE,
    FAILED,
    Open,
    claimed,
    entry,
    new_run,
    question,
    record_of,
    rules,
    status_of,
    until,
)

# Records


async def test_a_new_run_is_accepted_and_known_to_all(store: RunStore, other: RunStore) -> None:
    before = time()
    created = await store.create(
        new_run(owner=BOB, thread_id="t", request_id="q", idempotency_key="k")
    )
    assert created.is_new
    assert created.claim is None
    record = created.record
    assert (record.run_id, record.status, record.owner) == ("r1", RunStatus.ACCEPTED, BOB)
    assert (record.thread_id, record.request_id, record.fingerprint) == ("t", "q", "f")
    assert (record.attempt, record.first, record.end, record.direct) == (0, 0, 0, False)
    assert record.result is record.answers is record.cancel_reason is record.started_at is None
    assert before - 5 <= record.created_at <= time() + 5
    assert await other.get("r1") == record


async def test_an_unknown_run_is_none_or_nothing(store: RunStore) -> None:
    assert await store.get("r1") is None
    assert await store.claim("r1") is None
    assert await store.read("r1", 0) is None
    assert await store.ask_cancel("r1", "no") is None
    assert await store.resume("r1", {}, still=()) is None
    await store.reading("r1", 10)


async def test_a_run_of_the_same_id_is_found_and_not_made_again(
    store: RunStore, other: RunStore
) -> None:
    first = await store.create(new_run(fingerprint="f"))
    again = await other.create(new_run(fingerprint="g", owner=BOB, payload=b"2"))
    assert not again.is_new
    assert again.record == first.record
    claim = await other.claim("r1")
    assert claim is not None
    assert claim.payload == b'{"x": 1}'


async def test_a_run_of_the_same_key_and_owner_is_found(store: RunStore, other: RunStore) -> None:
    first = await store.create(new_run("r1", idempotency_key="k"))
    assert await other.create(new_run("r2", idempotency_key="k")) == Created(first.record, False)
    assert await store.get("r2") is None
    assert (await store.create(new_run("r3", idempotency_key="k", owner=BOB))).is_new
    assert (await store.create(new_run("r4", idempotency_key="other"))).is_new


async def test_of_an_id_and_a_key_of_different_runs_the_key_decides(store: RunStore) -> None:
    await store.create(new_run("r1"))
    await store.create(new_run("r2", idempotency_key="k"))
    found = await store.create(new_run("r1", idempotency_key="k"))
    assert (found.is_new, found.record.run_id) == (False, "r2")


async def test_of_many_that_create_one_run_at_once_one_does(
    store: RunStore, other: RunStore
) -> None:
    made: list[Created] = []

    async def create(by: RunStore, run_id: str, key: str | None) -> None:
        made.append(await by.create(new_run(run_id, idempotency_key=key)))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(create, (store, other)[number % 2], "r1", None)
            tasks.start_soon(create, (store, other)[number % 2], f"k{number}", "k")
    for of_key in (True, False):
        some = [one for one in made if one.record.run_id.startswith("k") is of_key]
        assert len(some) == 20
        assert sum(one.is_new for one in some) == 1
        assert len({one.record.run_id for one in some}) == 1


async def test_a_direct_run_is_running_and_claimed_by_who_made_it(store: RunStore) -> None:
    created = await store.create(new_run(direct=True))
    assert created.claim is not None
    assert created.claim.record == created.record == await store.get("r1")
    assert created.claim.payload == b'{"x": 1}'
    record = created.record
    assert (record.status, record.attempt, record.direct) == (RunStatus.RUNNING, 1, True)
    assert record.started_at is not None
    await store.append(created.claim, [entry(0)])
    again = await store.create(new_run(direct=True))
    assert (again.is_new, again.claim) == (False, None)


async def test_what_has_ended_is_forgotten_after_its_ttl(open_store: Open) -> None:
    store = await open_store(rules(ttl_seconds=BRIEF))
    claim = await claimed(store, idempotency_key="k")
    await store.append(claim, [entry(0, 3)])
    await store.create(new_run("r2"))
    await store.finish(claim, [entry(3)], RunStatus.COMPLETED, DONE)

    async def gone() -> bool:
        return await store.get("r1") is None

    await until(gone)
    assert await store.read("r1", 0) is None
    listed = await store.list(owner_id=None, status=None, cursor=None, limit=10)
    assert [record.run_id for record in listed.records] == ["r2"]
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(4)])
    again = await store.create(new_run("r1", idempotency_key="k"))
    assert again.is_new
    assert (again.record.status, again.record.end) == (RunStatus.ACCEPTED, 0)
    page = await store.read("r1", 0)
    assert page is not None
    assert page.entries == []
    await store.sweep()
    assert await store.get("r1") == again.record
    assert await status_of(store, "r2") == RunStatus.ACCEPTED


# Lists


async def ids(
    store: RunStore, *, owner: str | None = None, status: RunStatus | None = None, limit: int = 3
) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = await store.list(owner_id=owner, status=status, cursor=cursor, limit=limit)
        assert len(page.records) <= limit
        found += [record.run_id for record in page.records]
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_newest_runs_come_first(store: RunStore) -> None:
    for number in range(3):
        created = await store.create(new_run(f"r{number}"))
        await until(lambda made=created: time() > made.record.created_at + 0.002)
    assert await ids(store) == ["r2", "r1", "r0"]


@pytest.mark.parametrize("limit", [1, 2, 7, 20])
async def test_each_run_comes_once_over_all_pages(store: RunStore, limit: int) -> None:
    # Made as fast as can be: several have one moment.
    names = [f"r{number}" for number in range(20)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(store.create, new_run(name))
    assert sorted(await ids(store, limit=limit)) == sorted(names)


async def test_runs_made_while_pages_are_read_do_not_move_the_others(
    store: RunStore, other: RunStore
) -> None:
    for number in range(6):
        await store.create(new_run(f"r{number}"))
    found: list[str] = []
    cursor = None
    while True:
        page = await store.list(owner_id=None, status=None, cursor=cursor, limit=2)
        found += [record.run_id for record in page.records]
        await other.create(new_run(f"late{len(found)}"))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(name for name in found if name.startswith("r")) == [f"r{n}" for n in range(6)]
    assert len(set(found)) == len(found)


async def test_the_newest_run_of_an_owner_s_thread_is_found(
    store: RunStore, other: RunStore
) -> None:
    for number in range(3):
        await store.create(new_run(f"r{number}", thread_id="t"))
    await store.create(new_run("else", thread_id="u"))
    await store.create(new_run("bob", owner=BOB, thread_id="t"))
    await store.create(new_run("none"))
    await store.create_interrupted(
        new_run("asks", thread_id="v"), [entry(3)], [question("q")], claimed=False
    )
    found = {
        (owner, thread): await other.newest_in(thread, owner_id=owner)
        for owner in ("ann", "bob")
        for thread in ("t", "u", "v", "none")
    }
    ids = {key: record.run_id for key, record in found.items() if record is not None}
    assert ids == {
        ("ann", "t"): "r2",
        ("ann", "u"): "else",
        ("ann", "v"): "asks",
        ("bob", "t"): "bob",
    }
    assert found["ann", "t"] == await store.get("r2")


async def test_the_newest_run_of_a_thread_is_kept_as_long_as_the_run(open_store: Open) -> None:
    store = await open_store(rules(ttl_seconds=BRIEF))
    claim = await claimed(store, thread_id="t")
    await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    found = await store.newest_in("t", owner_id="ann")
    assert found is None or found.status is RunStatus.COMPLETED
    with anyio.fail_after(5):
        while await store.newest_in("t", owner_id="ann") is not None:
            await anyio.sleep(BRIEF / 3)
    await store.create(new_run("r2", thread_id="t"))
    later = await store.newest_in("t", owner_id="ann")
    assert later is not None
    assert later.run_id == "r2"


async def test_a_list_can_be_of_one_owner_and_of_one_status(store: RunStore) -> None:
    for number in range(4):
        await store.create(new_run(f"a{number}"))
        await store.create(new_run(f"b{number}", owner=BOB))
    await store.claim("a1")
    claim = await store.claim("b1")
    assert claim is not None
    await store.finish(claim, [entry(0)], RunStatus.FAILED, FAILED)
    assert sorted(await ids(store, owner="ann")) == ["a0", "a1", "a2", "a3"]
    assert await ids(store, status=RunStatus.RUNNING) == ["a1"]
    assert await ids(store, owner="bob", status=RunStatus.FAILED) == ["b1"]
    assert await ids(store, owner="bob", status=RunStatus.RUNNING) == []
    assert sorted(await ids(store, status=RunStatus.ACCEPTED)) == [
        "a0",
        "a2",
        "a3",
        "b0",
        "b2",
        "b3",
    ]
    assert await ids(store, owner="nobody") == []


@pytest.mark.parametrize("cursor", ["strange", "", "é", "AAAA", "9" * 400, "\x00"])
async def test_a_strange_cursor_is_refused(store: RunStore, cursor: str) -> None:
    with pytest.raises(ValidationError, match="cursor"):
        await store.list(owner_id=None, status=None, cursor=cursor, limit=2)


# Claims


async def test_a_claim_makes_the_run_running_for_one(store: RunStore, other: RunStore) -> None:
    await store.create(new_run())
    claim = await other.claim("r1")
    assert claim is not None
    assert (claim.run_id, claim.payload) == ("r1", b'{"x": 1}')
    assert (claim.record.status, claim.record.attempt) == (RunStatus.RUNNING, 1)
    assert claim.record.started_at is not None
    assert await store.get("r1") == claim.record
    assert await store.claim("r1") is None
    assert await other.claim("r1") is None


async def test_of_many_that_claim_one_run_one_gets_it(store: RunStore, other: RunStore) -> None:
    await store.create(new_run())
    claims: list[object] = []

    async def claim(by: RunStore) -> None:
        claims.append(await by.claim("r1"))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(claim, (store, other)[number % 2])
    assert len(claims) == 20
    assert sum(claim is not None for claim in claims) == 1
    assert (await record_of(store)).attempt == 1


@pytest.mark.parametrize("turns", [1, 2, 4])
async def test_a_claim_that_nobody_waits_for_any_more_leaves_the_run_to_others(
    store: RunStore, other: RunStore, turns: int
) -> None:
    await store.create(new_run())
    claiming = asyncio.create_task(store.claim("r1"))
    for _ in range(turns):
        await asyncio.sleep(0)
    if not claiming.cancel():
        # A store that has it in memory never waits.
        claim = claiming.result()
        assert claim is not None
        await store.release(claim, begun=False)
    with suppress(asyncio.CancelledError):
        await claiming
    claims: list[Claim | None] = []

    async def claimed_by_another() -> bool:
        claims.append(await other.claim("r1"))
        return claims[-1] is not None

    await until(claimed_by_another)
    assert claims[-1] is not None
    assert claims[-1].record.attempt == 1


async def test_a_direct_run_is_nobody_elses_to_claim(open_store: Open) -> None:
    store = await open_store(rules(lease_seconds=BRIEF, max_attempts=3))
    await store.create(new_run(direct=True))
    assert await store.claim("r1") is None
    await until(lambda: store.overdue(10))
    assert await store.claim("r1") is None


async def test_once_its_lease_has_passed_a_run_may_be_claimed_while_attempts_are_left(
    open_store: Open,
) -> None:
    limits = rules(lease_seconds=BRIEF, max_attempts=2)
    store, other = await open_store(limits), await open_store(limits)
    first = await claimed(store)
    found = []

    async def taken_over() -> bool:
        found.append(await other.claim("r1"))
        return found[-1] is not None

    await until(taken_over)
    second = found[-1]
    assert second is not None
    assert (second.record.attempt, second.record.started_at) == (2, first.record.started_at)
    assert second.token != first.token
    await until(lambda: store.overdue(10))
    assert await store.claim("r1") is None


async def test_who_has_lost_the_claim_writes_nothing(open_store: Open) -> None:
    limits = rules(lease_seconds=BRIEF, max_attempts=2)
    store, other = await open_store(limits), await open_store(limits)
    old = await claimed(store)
    await store.append(old, [entry(0)])

    async def taken_over() -> bool:
        return await other.claim("r1") is not None

    await until(taken_over)
    before = await record_of(store)
    with pytest.raises(LeaseLostError):
        await store.append(old, [entry(1)])
    with pytest.raises(LeaseLostError):
        await store.append(old, [entry(0)])
    with pytest.raises(LeaseLostError):
        await store.finish(old, [entry(1)], RunStatus.COMPLETED, DONE)
    with pytest.raises(LeaseLostError):
        await store.interrupt(old, [entry(1)], [], claimed=True)
    with pytest.raises(LeaseLostError):
        await store.release(old, begun=False)
    with pytest.raises(LeaseLostError):
        await store.answers_taken(old, ["i"])
    beats = await anyio.to_thread.run_sync(store.heartbeat, [old])
    assert [beat.is_lost for beat in beats] == [True]
    assert await other.get("r1") == before


async def test_heartbeats_keep_a_run(open_store: Open) -> None:
    store = await open_store(rules(lease_seconds=1.5, max_attempts=3))
    claim = await claimed(store)
    began = time()
    while time() < began + 2.0:
        beats = await anyio.to_thread.run_sync(store.heartbeat, [claim])
        assert [beat.is_lost for beat in beats] == [False]
        assert await store.claim("r1") is None
        await anyio.sleep(0.1)
    await store.append(claim, [entry(0)])


async def test_beats_are_in_the_order_of_the_claims(store: RunStore) -> None:
    claims = [await claimed(store, f"r{number}") for number in range(4)]
    await store.finish(claims[1], [entry(0)], RunStatus.COMPLETED, DONE)
    await store.ask_cancel("r2", "enough")
    beats = await anyio.to_thread.run_sync(store.heartbeat, claims)
    assert [beat.is_lost for beat in beats] == [False, True, False, False]
    assert [beat.cancel_reason for beat in beats] == [None, None, "enough", None]
    assert await anyio.to_thread.run_sync(store.heartbeat, []) == []


@pytest.mark.parametrize(("begun", "attempt"), [(False, 1), (True, 2)])
async def test_a_released_run_is_accepted_again(
    store: RunStore, other: RunStore, begun: bool, attempt: int
) -> None:
    claim = await claimed(store)
    await store.release(claim, begun=begun)
    assert await status_of(other) == RunStatus.ACCEPTED
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(0)])
    next_one = await other.claim("r1")
    assert next_one is not None
    assert next_one.record.attempt == attempt


async def test_a_released_run_goes_on_with_the_next_event(store: RunStore) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0, 2)])
    await store.release(claim, begun=True)
    next_one = await store.claim("r1")
    assert next_one is not None
    assert next_one.record.end == 2
    await store.append(next_one, [entry(2)])
    assert (await record_of(store)).end == 3


# Ends


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
async def test_a_run_ends_with_its_last_events_and_result(
    store: RunStore, other: RunStore, status: RunStatus
) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0, 2)])
    await store.finish(claim, [entry(2), entry(3, 2)], status, DONE)
    record = await record_of(other)
    assert (record.status, record.end, record.result) == (status, 5, DONE)
    assert record.is_final
    assert record.finished_at is not None
    assert record.finished_at >= record.created_at


async def test_a_final_state_never_changes(store: RunStore) -> None:
    claim = await claimed(store)
    await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    record = await record_of(store)
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(1)])
    with pytest.raises(LeaseLostError):
        await store.finish(claim, [entry(1)], RunStatus.FAILED, FAILED)
    with pytest.raises(LeaseLostError):
        await store.interrupt(claim, [entry(1)], [], claimed=False)
    with pytest.raises(LeaseLostError):
        await store.release(claim, begun=False)
    assert await store.claim("r1") is None
    assert await store.resume("r1", {"i": 1}, still=()) is None
    assert await store.ask_cancel("r1", "late") == record
    assert not await store.settle(record, entry(1), RunStatus.FAILED, FAILED)
    assert await store.get("r1") == record


async def test_finishing_and_releasing_once_more_changes_nothing(store: RunStore) -> None:
    # As a worker does that got no answer the first time.
    claim = await claimed(store)
    for _ in range(2):
        await store.finish(claim, [entry(0)], RunStatus.COMPLETED, DONE)
    record = await record_of(store)
    assert (record.status, record.end) == (RunStatus.COMPLETED, 1)
    claim = await claimed(store, "r2")
    for _ in range(2):
        await store.release(claim, begun=False)
    assert (await record_of(store, "r2")).attempt == 0


async def test_a_check_is_content_and_an_open_store_can_be_closed(store: RunStore) -> None:
    await store.check()
    await store.create(new_run())
    await store.check()
    await store.close()
