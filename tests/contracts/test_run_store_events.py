"""What every run store must do with events, and whom it tells of changes; one suite, all implementations."""

from __future__ import annotations

import anyio
import pytest

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import READ_BYTES, Entry, RunStore
from tests.contracts.run_stores import (
    BACKENDS,
    BRIEF,
    DONE,
    FAILED,
    LOCAL,
    RULES,
    Calls,
    Open,
    all_entries,
    claimed,
    entry,
    local_work,
    new_run,
    question,
    record_of,
    rules,
    until,
)

# Appending and reading


async def test_events_come_back_as_they_were_written(store: RunStore, other: RunStore) -> None:
    claim = await claimed(store)
    written = [entry(0), entry(1, 3), entry(4, 256)]
    await store.append(claim, written[:2])
    await store.append(claim, written[2:])
    assert await all_entries(other) == written
    assert await all_entries(store) == written
    record = await record_of(other)
    assert (record.first, record.end) == (0, 260)


async def test_a_page_begins_with_the_entry_that_has_what_was_asked_for(store: RunStore) -> None:
    claim = await claimed(store)
    written = [entry(0, 3), entry(3, 2), entry(5, 4)]
    await store.append(claim, written)
    for start in range(9):
        page = await store.read("r1", start)
        assert page is not None
        assert page.entries == [one for one in written if one.end > start]
        assert (page.first, page.end, page.status) == (0, 9, RunStatus.RUNNING)
    for start in (9, 10, 1000):
        page = await store.read("r1", start)
        assert page is not None
        assert page.entries == []
        assert page.end == 9


async def test_a_run_without_events_has_an_empty_page(store: RunStore) -> None:
    await store.create(new_run())
    page = await store.read("r1", 0)
    assert page is not None
    assert (page.entries, page.first, page.end) == ([], 0, 0)
    assert page.status == RunStatus.ACCEPTED


async def test_a_page_is_bounded_and_a_large_entry_is_a_page_of_its_own(store: RunStore) -> None:
    claim = await claimed(store)
    small = [entry(number, size=30_000) for number in range(20)]
    large = entry(20, size=READ_BYTES * 2)
    await store.append(claim, small)
    await store.append(claim, [large, entry(21)])
    page = await store.read("r1", 0)
    assert page is not None
    assert READ_BYTES // 2 <= sum(len(one.body) for one in page.entries) <= READ_BYTES * 1.2
    page = await store.read("r1", 20)
    assert page is not None
    assert page.entries[0] == large
    assert await all_entries(store) == [*small, large, entry(21)]


async def test_an_append_that_is_made_again_changes_nothing(store: RunStore) -> None:
    claim = await claimed(store)
    batch = [entry(0, 2), entry(2, 3)]
    await store.append(claim, batch)
    await store.append(claim, batch)
    await store.append(claim, [*batch, entry(5)])
    await store.append(claim, batch[1:])
    assert await all_entries(store) == [*batch, entry(5)]
    await store.finish(claim, [entry(5), entry(6)], RunStatus.COMPLETED, DONE)
    assert await all_entries(store) == [*batch, entry(5), entry(6)]


async def test_a_hole_is_refused_and_nothing_is_written(store: RunStore) -> None:
    claim = await claimed(store)
    await store.append(claim, [entry(0, 2)])
    with pytest.raises(ValueError, match="2"):
        await store.append(claim, [entry(3)])
    with pytest.raises(ValueError, match="3"):
        await store.append(claim, [entry(2), entry(4)])
    assert await all_entries(store) == [entry(0, 2)]
    await store.append(claim, [entry(2)])
    assert (await record_of(store)).end == 3


async def test_runs_do_not_see_each_others_events(store: RunStore) -> None:
    claims = [await claimed(store, f"r{number}") for number in range(3)]
    for number, claim in enumerate(claims):
        await store.append(claim, [entry(0, number + 1)])
    for number in range(3):
        assert await all_entries(store, f"r{number}") == [entry(0, number + 1)]


async def test_many_appends_at_once_of_many_runs_keep_their_order(store: RunStore) -> None:
    async def write(run_id: str) -> None:
        claim = await claimed(store, run_id)
        for number in range(30):
            await store.append(claim, [entry(number)])

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(write, f"r{number}")
    for number in range(10):
        assert await all_entries(store, f"r{number}") == [entry(n) for n in range(30)]


# Trimming


async def test_past_the_largest_number_of_events_the_oldest_go(open_store: Open) -> None:
    store = await open_store(rules(max_events=10))
    claim = await claimed(store)
    at = 0
    for count in (1, 3, 4, 1, 5, 2, 1, 1, 1, 8, 2):
        await store.append(claim, [entry(at, count)])
        at += count
        record = await record_of(store)
        assert (record.first, record.end) == (max(0, at - 10), at)
        page = await store.read("r1", 0)
        assert page is not None
        assert page.first == record.first
        assert page.entries[0].first <= page.first < page.entries[0].end
        assert page.entries[-1].end == at


async def test_past_the_largest_number_of_bytes_the_oldest_go(open_store: Open) -> None:
    store = await open_store(rules(max_bytes=100_000))
    claim = await claimed(store)
    for number in range(50):
        await store.append(claim, [entry(number, size=10_000)])
        page = await store.read("r1", 0)
        assert page is not None
        entries = await all_entries(store, start=page.first)
        assert page.first == entries[0].first
        assert sum(len(one.body) for one in entries) <= 100_000
        assert len(entries) >= min(number + 1, 8)
        assert [one.first for one in entries] == list(range(page.first, number + 1))


async def test_the_newest_entry_is_never_trimmed(open_store: Open) -> None:
    store = await open_store(rules(max_bytes=1000))
    claim = await claimed(store)
    await store.append(claim, [entry(0), entry(1)])
    last = entry(2, size=5000)
    await store.finish(claim, [last], RunStatus.COMPLETED, DONE)
    page = await store.read("r1", 0)
    assert page is not None
    assert (page.entries, page.first, page.end) == ([last], 2, 3)


async def test_who_asks_for_what_is_gone_gets_the_oldest_that_is_kept(open_store: Open) -> None:
    store = await open_store(rules(max_events=10))
    claim = await claimed(store)
    for number in range(0, 40, 4):
        await store.append(claim, [entry(number, 4)])
    page = await store.read("r1", 3)
    assert page is not None
    assert (page.first, page.end) == (30, 40)
    assert page.entries == [entry(28, 4), entry(32, 4), entry(36, 4)]


async def test_one_large_append_is_trimmed_as_many_small_ones_are(open_store: Open) -> None:
    store = await open_store(rules(max_events=10))
    claim = await claimed(store)
    await store.append(claim, [entry(number) for number in range(100)])
    record = await record_of(store)
    assert (record.first, record.end) == (90, 100)
    assert await all_entries(store) == [entry(number) for number in range(90, 100)]
    # What was trimmed has been appended before.
    await store.append(claim, [entry(number) for number in range(100)])
    assert await record_of(store) == record


# Watching


async def test_a_watcher_hears_of_every_kind_of_change(store: RunStore, other: RunStore) -> None:
    await store.create(new_run())
    near, far = Calls(), Calls()
    await store.watch("r1", near)
    await other.watch("r1", far)

    async def told(seen: tuple[int, int]) -> tuple[int, int]:
        await near.come(more_than=seen[0])
        await far.come(more_than=seen[1])
        return len(near.seen), len(far.seen)

    seen = len(near.seen), len(far.seen)
    claim = await store.claim("r1")
    assert claim is not None
    seen = await told(seen)
    await store.append(claim, [entry(0)])
    seen = await told(seen)
    await store.interrupt(claim, [entry(1)], [question("i")], claimed=True)
    seen = await told(seen)
    await other.resume("r1", {"i": 1}, still=())
    seen = await told(seen)
    await store.finish(claim, [entry(2)], RunStatus.COMPLETED, DONE)
    await told(seen)


async def test_settling_tells_those_who_watch(store: RunStore, other: RunStore) -> None:
    record = (await store.create(new_run())).record
    far = Calls()
    await other.watch("r1", far)
    seen = len(far.seen)
    assert await store.settle(record, entry(0), RunStatus.CANCELLED, FAILED)
    await far.come(more_than=seen)


async def test_what_is_written_once_a_watch_has_begun_is_not_missed(
    store: RunStore, other: RunStore
) -> None:
    # However short after: first watched, then read, so nothing falls between.
    for number in range(30):
        claim = await claimed(store, f"r{number}")
        calls = Calls()
        await other.watch(f"r{number}", calls)
        await store.append(claim, [entry(0)])
        await calls.come()
        other.unwatch(f"r{number}", calls)


async def test_who_no_longer_watches_is_not_called(store: RunStore, other: RunStore) -> None:
    claim = await claimed(store)
    one, two = Calls(), Calls()
    await other.watch("r1", one)
    await other.watch("r1", two)
    other.unwatch("r1", one)
    before = len(one.seen)
    await store.append(claim, [entry(0)])
    await two.come()
    assert len(one.seen) == before
    other.unwatch("r1", two)
    other.unwatch("r1", two)
    other.unwatch("unknown", two)


async def test_a_watcher_may_stop_watching_while_it_is_called(store: RunStore) -> None:
    claim = await claimed(store)
    calls = Calls()

    def once() -> None:
        store.unwatch("r1", once)

    await store.watch("r1", once)
    await store.watch("r1", calls)
    await store.append(claim, [entry(0)])
    await calls.come()


async def test_a_reader_follows_a_writer_to_the_end(store: RunStore, other: RunStore) -> None:
    """Each event once, in order: what is stored and what comes meanwhile."""
    claim = await claimed(store)
    await store.append(claim, [entry(0, 5)])
    found: list[Entry] = []

    async def follow() -> None:
        news = anyio.Event()

        def changed() -> None:
            news.set()

        await other.watch("r1", changed)
        at = 0
        while True:
            page = await other.read("r1", at)
            assert page is not None
            found.extend(page.entries)
            if page.entries:
                at = page.entries[-1].end
            elif page.status == RunStatus.COMPLETED:
                break
            else:
                await news.wait()
                news = anyio.Event()
        other.unwatch("r1", changed)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            for number in range(5, 300):
                await store.append(claim, [entry(number)])
            await store.finish(claim, [entry(300)], RunStatus.COMPLETED, DONE)
    assert found == [entry(0, 5), *(entry(number) for number in range(5, 301))]


async def test_orders_reach_whoever_executes(store: RunStore, other: RunStore) -> None:
    orders = Calls()
    await other.watch_orders(orders)
    claims = {name: await claimed(other, name) for name in ("r1", "r2")}
    await store.ask_cancel("r1", "enough")
    await until(lambda: "r1" in orders.seen)
    orders.seen.clear()
    await claimed(other, "r3")
    await other.ask_cancel("r3", "by itself")
    await until(lambda: "r3" in orders.seen)
    await other.interrupt(claims["r2"], [entry(0)], [question("i")], claimed=True)
    await store.resume("r2", {"i": 1}, still=())
    await until(lambda: "r2" in orders.seen)


async def test_a_run_without_a_record_is_called_off_wherever_it_is(
    store: RunStore, other: RunStore
) -> None:
    here, there = Calls(), Calls()
    await store.watch_orders(here)
    if other is not store:
        await other.watch_orders(there)
    for run_id in ("unknown", "unknown too", "unknown"):
        here.seen.clear()
        there.seen.clear()
        await store.call_off(run_id)
        await until(lambda name=run_id: name in here.seen)
        await until(lambda name=run_id: other is store or name in there.seen)
    assert await store.get("unknown") is None


async def test_an_order_is_not_lost_when_the_run_is_written_right_after(
    store: RunStore, other: RunStore
) -> None:
    orders = Calls()
    await other.watch_orders(orders)
    for number in range(20):
        run_id = f"r{number}"
        claim = await claimed(other, run_id)
        await store.ask_cancel(run_id, "enough")
        await other.append(claim, [entry(0)])
        await until(lambda name=run_id: name in orders.seen)


async def test_a_second_watcher_of_orders_replaces_the_first(store: RunStore) -> None:
    first, second = Calls(), Calls()
    await store.watch_orders(first)
    await store.watch_orders(second)
    await claimed(store)
    await store.ask_cancel("r1", "enough")
    await until(lambda: "r1" in second.seen)
    assert "r1" not in first.seen


# Work, where it is found in the store


@pytest.mark.parametrize("open_store", [BACKENDS[one] for one in LOCAL], ids=LOCAL, indirect=True)
async def test_accepted_runs_are_work_in_the_order_they_came(
    store: RunStore, other: RunStore
) -> None:
    work, far = local_work(store), local_work(other)
    assert await work.claimable(10) == []
    for number in range(4):
        await store.create(new_run(f"r{number}"))
    await store.create(new_run("direct", direct=True))
    assert await far.claimable(10) == ["r0", "r1", "r2", "r3"]
    assert await work.claimable(2) == ["r0", "r1"]
    claim = await store.claim("r0")
    assert claim is not None
    assert await far.claimable(10) == ["r1", "r2", "r3"]
    await store.release(claim, begun=False)
    assert sorted(await far.claimable(10)) == ["r0", "r1", "r2", "r3"]


@pytest.mark.parametrize("open_store", [BACKENDS[one] for one in LOCAL], ids=LOCAL, indirect=True)
async def test_what_a_lost_worker_had_is_work_while_attempts_are_left(open_store: Open) -> None:
    store = await open_store(rules(lease_seconds=BRIEF, max_attempts=2))
    work = local_work(store)
    await store.create(new_run("direct", direct=True))
    await claimed(store)

    async def is_lost() -> bool:
        return any(record.run_id == "r1" for record in await store.overdue(10))

    for attempt in (2, None):
        await until(is_lost)
        assert await work.claimable(10) == ([] if attempt is None else ["r1"])
        claim = await store.claim("r1")
        assert (claim and claim.record.attempt) == attempt


@pytest.mark.parametrize("open_store", [BACKENDS[one] for one in LOCAL], ids=LOCAL, indirect=True)
async def test_whoever_looks_for_work_hears_of_it(store: RunStore, other: RunStore) -> None:
    near, far = Calls(), Calls()
    local_work(store).watch_work(near)
    if other is not store:
        local_work(other).watch_work(far)
    else:
        far = near

    async def told(seen: tuple[int, int]) -> tuple[int, int]:
        await near.come(more_than=seen[0])
        await far.come(more_than=seen[1])
        return len(near.seen), len(far.seen)

    await store.create(new_run("r0"))
    await until(lambda: near.seen and far.seen)
    # The first look may find what was there before.
    await anyio.sleep(2 * BRIEF)
    seen = len(near.seen), len(far.seen)
    await store.create(new_run())
    seen = await told(seen)
    claim = await store.claim("r1")
    assert claim is not None
    await store.release(claim, begun=False)
    seen = await told(seen)
    claim = await store.claim("r1")
    assert claim is not None
    await store.interrupt(claim, [entry(0)], [question("i")], claimed=False)
    seen = len(near.seen), len(far.seen)
    await other.resume("r1", {"i": 1}, still=())
    await told(seen)


async def test_rules_are_those_it_was_made_with(store: RunStore) -> None:
    assert store.rules == RULES
