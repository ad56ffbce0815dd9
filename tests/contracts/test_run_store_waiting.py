"""What every run store must do with runs that wait; one suite, all implementations."""

from __future__ import annotations

import anyio
import pytest

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import LeaseLostError, RunStore, Waiting
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

# How many


async def test_what_waits_is_counted_over_all_stores(store: RunStore, other: RunStore) -> None:
    assert await store.waiting() == Waiting(0, 0)
    for run_id in ("r1", "r2", "r3", "r4"):
        await store.create(new_run(run_id))
    await store.create(new_run("direct", direct=True))
    assert await other.waiting() == Waiting(4, 0)
    held = await other.claim("r1")
    asked = await other.claim("r2")
    back = await other.claim("r3")
    assert held is not None
    assert asked is not None
    assert back is not None
    assert await store.waiting() == Waiting(1, 0)

    await other.interrupt(held, [entry(0)], [question("i")], claimed=True)
    await other.interrupt(asked, [entry(0)], [question("i")], claimed=False)
    await other.release(back, begun=False)
    assert await store.waiting() == Waiting(2, 2)
    await store.resume("r1", {"i": 1}, still=())
    await store.resume("r2", {"i": 1}, still=())
    assert await store.waiting() == Waiting(3, 0)

    await other.finish(held, [entry(1)], RunStatus.COMPLETED, DONE)
    for run_id in ("r2", "r3", "r4"):
        record = await record_of(store, run_id)
        assert await store.settle(record, entry(record.end), RunStatus.CANCELLED, FAILED)
    assert await store.waiting() == Waiting(0, 0)


# Questions


async def test_a_run_that_nobody_holds_waits_and_is_accepted_again_with_its_answer(
    store: RunStore, other: RunStore
) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0)])
    await store.interrupt(
        claim, [entry(1)], [question("i", {"sure": ["?", None, 1.5]})], claimed=False
    )
    record = await record_of(other)
    assert (record.status, record.end) == (RunStatus.INTERRUPTED, 2)
    assert record.questions == (question("i", {"sure": ["?", None, 1.5]}),)
    assert await other.claim("r1") is None
    with pytest.raises(LeaseLostError):
        await store.append(claim, [entry(2)])

    answered = await other.resume("r1", {"i": {"yes": [True, "é"]}}, still=())
    assert answered == await store.get("r1")
    assert answered is not None
    assert (answered.status, answered.attempt) == (RunStatus.ACCEPTED, 0)
    assert answered.questions == ()
    next_one = await store.claim("r1")
    assert next_one is not None
    assert next_one.payload == b'{"x": 1}'
    assert next_one.record.answers == {"i": {"yes": [True, "é"]}}
    assert (next_one.record.attempt, next_one.record.end) == (1, 2)
    await store.append(next_one, [entry(2)])
    assert await all_entries(other) == [entry(0), entry(1), entry(2)]


async def test_a_run_that_does_not_wait_cannot_be_answered(store: RunStore) -> None:
    await store.create(new_run())
    assert await store.resume("r1", {"i": 1}, still=()) is None
    claim = await store.claim("r1")
    assert claim is not None
    assert await store.resume("r1", {"i": 1}, still=()) is None
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    assert await store.resume("r1", {"i": 1}, still=()) is not None
    assert await store.resume("r1", {"i": 2}, still=()) is None
    again = await store.claim("r1")
    assert again is not None
    assert again.record.answers == {"i": 1}


async def test_of_many_that_answer_at_once_one_does(store: RunStore, other: RunStore) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    answered: list[object] = []

    async def answer(by: RunStore, value: int) -> None:
        if await by.resume("r1", {"i": value}, still=()) is not None:
            answered.append(value)

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(answer, (store, other)[number % 2], number)
    assert len(answered) == 1
    assert (await record_of(store)).answers == {"i": answered[0]}


async def test_a_worker_that_holds_its_waiting_run_goes_on_with_the_answer(
    store: RunStore, other: RunStore
) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=True)
    assert await status_of(other) == RunStatus.INTERRUPTED
    assert await other.claim("r1") is None
    beats = await anyio.to_thread.run_sync(store.heartbeat, [claim])
    assert not beats[0].is_lost
    await store.append(claim, [entry(1)])

    answered = await other.resume("r1", {"i": "yes"}, still=())
    assert answered is not None
    assert (answered.status, answered.attempt) == (RunStatus.RUNNING, 1)
    assert (answered.answers, answered.questions) == ({"i": "yes"}, ())
    assert await other.claim("r1") is None
    await store.answers_taken(claim, ["i"])
    assert (await record_of(other)).answers in (None, {})
    await store.finish(claim, [entry(2)], RunStatus.COMPLETED, DONE)


async def test_with_questions_left_a_held_run_goes_on_waiting(store: RunStore) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("a"), question("b", 2)], claimed=True)
    record = await store.resume("r1", {"a": 1}, still=[question("b", 2)])
    assert record is not None
    assert (record.status, record.questions) == (RunStatus.INTERRUPTED, (question("b", 2),))
    # Not taken yet: kept beside the next one.
    record = await store.resume("r1", {"b": 2}, still=())
    assert record is not None
    assert (record.status, record.answers) == (RunStatus.RUNNING, {"a": 1, "b": 2})
    await store.answers_taken(claim, ["a", "unknown"])
    assert (await record_of(store)).answers == {"b": 2}


async def test_answers_to_a_run_that_nobody_holds_need_not_be_all(store: RunStore) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("a"), question("b")], claimed=False)
    record = await store.resume("r1", {"a": 1}, still=[question("b")])
    assert record is not None
    assert (record.status, record.answers) == (RunStatus.ACCEPTED, {"a": 1})


@pytest.mark.parametrize("held", [True, False])
async def test_an_answer_that_others_were_quicker_with_changes_nothing(
    store: RunStore, held: bool
) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("new", {"a": [1]})], claimed=held)
    before = await record_of(store)
    for answers, still in (
        ({"old": 1}, ()),
        ({"old": 1}, [question("new")]),
        ({"new": 1}, [question("old")]),
        ({"new": 1, "old": 2}, ()),
        ({}, ()),
    ):
        assert await store.resume("r1", answers, still=still) is None
        assert await record_of(store) == before
    assert await store.resume("r1", {"new": 1}, still=()) is not None


async def test_a_run_can_be_interrupted_again_and_again(store: RunStore) -> None:
    claim = await claimed(store)
    for number in range(3):
        await store.interrupt(claim, [entry(number)], [question(f"i{number}")], claimed=False)
        assert await store.resume("r1", {f"i{number}": number}, still=()) is not None
        next_one = await store.claim("r1")
        assert next_one is not None
        assert next_one.record.answers == {f"i{number}": number}
        claim = next_one
    await store.finish(claim, [entry(3)], RunStatus.COMPLETED, DONE)
    record = await record_of(store)
    assert (record.questions, record.answers, record.end) == ((), None, 4)


async def test_the_answer_of_a_lost_attempt_is_there_for_the_next(open_store: Open) -> None:
    store = await open_store(rules(lease_seconds=BRIEF, max_attempts=2))
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    await store.resume("r1", {"i": 1}, still=())
    assert await store.claim("r1") is not None
    found = []

    async def taken_over() -> bool:
        found.append(await store.claim("r1"))
        return found[-1] is not None

    await until(taken_over)
    assert found[-1] is not None
    assert found[-1].record.answers == {"i": 1}


@pytest.mark.parametrize("held", [True, False])
async def test_interrupting_once_more_changes_nothing(store: RunStore, held: bool) -> None:
    # As a worker does that got no answer the first time; the run may have been answered since.
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=held)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=held)
    record = await record_of(store)
    assert (record.status, record.end) == (RunStatus.INTERRUPTED, 1)
    answered = await store.resume("r1", {"i": 1}, still=())
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=held)
    assert await store.get("r1") == answered


@pytest.mark.parametrize("held", [True, False])
async def test_a_run_that_begins_to_be_kept_when_it_waits(store: RunStore, held: bool) -> None:
    created = await store.create_interrupted(
        new_run(idempotency_key="k"), [entry(7), entry(8)], [question("i", 1)], claimed=held
    )
    record = created.record
    assert created.is_new
    assert record == await store.get("r1")
    assert (record.status, record.first, record.end) == (RunStatus.INTERRUPTED, 7, 9)
    assert record.questions == (question("i", 1),)
    page = await store.read("r1", 0)
    assert page is not None
    assert (page.entries, page.first) == ([entry(7), entry(8)], 7)
    assert (created.claim is not None) is held
    again = await store.create_interrupted(
        new_run("r2", idempotency_key="k"), [entry(0)], [question("j")], claimed=held
    )
    assert (again.is_new, again.claim, again.record) == (False, None, record)

    answered = await store.resume("r1", {"i": 2}, still=())
    assert answered is not None
    assert answered.status == (RunStatus.RUNNING if held else RunStatus.ACCEPTED)
    claim = created.claim if held else await store.claim("r1")
    assert claim is not None
    await store.append(claim, [entry(9)])
    await store.finish(claim, [entry(10)], RunStatus.COMPLETED, DONE)
    assert await all_entries(store) == [entry(number) for number in (7, 8, 9, 10)]


async def test_a_direct_run_that_waited_is_gone_on_with_by_whoever_claims_it(
    store: RunStore, other: RunStore
) -> None:
    created = await store.create(new_run(direct=True))
    assert created.claim is not None
    await store.interrupt(created.claim, [entry(0)], [question("i")], claimed=False)
    assert await other.claim("r1") is None
    assert await other.resume("r1", {"i": 1}, still=()) is not None
    claim = await other.claim("r1")
    assert claim is not None
    assert claim.record.answers == {"i": 1}


async def test_what_a_run_is_traced_to_is_kept_and_changes_with_an_answer(store: RunStore) -> None:
    first = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "baggage": "tenant=é"}
    answered = {"traceparent": f"00-{'c' * 32}-{'d' * 16}-01"}
    claim = await claimed(store, trace=first)
    assert claim.record.trace == first

    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    assert (await record_of(store)).trace == first
    resumed = await store.resume("r1", {"i": 1}, still=(), trace=answered)

    assert resumed is not None
    assert resumed.trace == answered
    again = await store.claim("r1")
    assert again is not None
    assert again.record.trace == answered


async def test_a_run_need_not_be_traced(store: RunStore) -> None:
    claim = await claimed(store)
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    resumed = await store.resume("r1", {"i": 1}, still=())
    assert (claim.record.trace, resumed and resumed.trace) == (None, None)
