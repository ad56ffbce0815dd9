"""Whatever is done to a run store, by whom and in which order: it is as the model says; all implementations."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    CancelAskedError,
    Claim,
    Entry,
    LeaseLostError,
    Question,
    RunStore,
)
from tests.contracts.run_model import CANCELLED, HOLE, LOST, Model
from tests.contracts.run_stores import (
    BACKENDS,
    DONE,
    Backend,
    all_entries,
    entry,
    new_run,
    record_of,
    rules,
)

MAX_EVENTS = 10
RUN_IDS = ("a", "b")
ENDS = st.sampled_from([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
RUN = st.sampled_from(RUN_IDS)
# Counted from the latest; those before it are mostly lost.
CLAIM = st.sampled_from([0, 0, 0, 1, 2])
COUNT = st.integers(1, 6)
QUESTIONS = st.sampled_from([("i",), ("i", "j")])

OPERATIONS = st.one_of(
    st.tuples(st.just("create"), RUN, st.sampled_from([None, None, "k"]), st.booleans()),
    st.tuples(st.just("create_interrupted"), RUN, COUNT, QUESTIONS, st.booleans()),
    st.tuples(st.just("claim"), RUN),
    st.tuples(st.just("release"), CLAIM, st.booleans()),
    st.tuples(st.just("append"), CLAIM, st.integers(0, 2), st.lists(COUNT, max_size=3)),
    st.tuples(st.just("append_past_a_hole"), CLAIM, COUNT),
    st.tuples(st.just("finish"), CLAIM, COUNT, ENDS),
    st.tuples(st.just("interrupt"), CLAIM, COUNT, QUESTIONS, st.booleans()),
    st.tuples(st.just("resume"), RUN, st.sampled_from(["i", "j"]), st.booleans()),
    st.tuples(st.just("answers_taken"), CLAIM, st.sampled_from(["i", "j"])),
    st.tuples(st.just("ask_cancel"), RUN, st.sampled_from(["enough", "other"])),
    st.tuples(st.just("settle"), RUN, ENDS),
    st.tuples(st.just("heartbeat")),
)


class Compared:
    """Does the same to stores of one backend in turn and to the model."""

    def __init__(self, stores: list[RunStore]) -> None:
        self._stores = stores
        self._turn = 0
        self._model = Model(MAX_EVENTS)
        self._claims: list[Claim] = []

    async def do(self, name: str, *arguments: Any) -> None:
        self._turn += 1
        await getattr(self, f"_{name}")(*arguments)
        for run_id in RUN_IDS:
            await self._compare(run_id)

    @property
    def _store(self) -> RunStore:
        return self._stores[self._turn % len(self._stores)]

    async def _compare(self, run_id: str) -> None:
        store, expected = self._store, self._model.runs.get(run_id)
        if expected is None:
            assert await store.get(run_id) is None
            return
        record = await record_of(store, run_id)
        assert record.status == expected.status
        assert (record.first, record.end) == (expected.first, expected.end)
        assert record.attempt == expected.attempt
        assert record.questions == expected.questions
        assert (record.answers or {}) == expected.answers
        assert record.cancel_reason == expected.cancel
        assert record.claimed is (expected.holder is not None)
        assert (record.result is not None) is expected.is_final
        assert await all_entries(store, run_id) == expected.kept()

    def _place(self, back: int) -> int | None:
        return len(self._claims) - 1 - back if back < len(self._claims) else None

    def _next(self, place: int, *counts: int) -> list[Entry]:
        """Return entries that follow what the claim's run has."""
        at = self._model.runs[self._model.claims[place]].end
        entries: list[Entry] = []
        for count in counts:
            entries.append(entry(at, count))
            at += count
        return entries

    # Each does one thing to both.

    async def _create(self, run_id: str, key: str | None, direct: bool) -> None:
        created = await self._store.create(new_run(run_id, idempotency_key=key, direct=direct))
        expected = self._model.create(run_id, key, direct)
        assert (created.record.run_id, created.is_new) == expected
        assert (created.claim is not None) is (created.is_new and direct)
        if created.claim is not None:
            self._claims.append(created.claim)

    async def _create_interrupted(
        self, run_id: str, first: int, ids: tuple[str, ...], claimed: bool
    ) -> None:
        entries, questions = [entry(first, 2)], _questions(ids)
        created = await self._store.create_interrupted(
            new_run(run_id, direct=True), entries, questions, claimed=claimed
        )
        expected = self._model.create_interrupted(run_id, entries, questions, claimed)
        assert (created.record.run_id, created.is_new) == expected
        if created.claim is not None:
            self._claims.append(created.claim)
        assert len(self._claims) == len(self._model.claims)

    async def _claim(self, run_id: str) -> None:
        claim = await self._store.claim(run_id)
        assert (claim is not None) is self._model.claim(run_id)
        if claim is not None:
            assert (claim.record.answers or {}) == self._model.runs[run_id].answers
            self._claims.append(claim)

    async def _release(self, back: int, begun: bool) -> None:
        if (place := self._place(back)) is not None:
            outcome = await _outcome(self._store.release(self._claims[place], begun=begun))
            assert outcome == self._model.release(place, begun)

    async def _append(self, back: int, again: int, counts: list[int]) -> None:
        if (place := self._place(back)) is not None:
            run = self._model.runs[self._model.claims[place]]
            repeated = run.entries[len(run.entries) - again :] if again else []
            entries = repeated + self._next(place, *counts)
            outcome = await _outcome(self._store.append(self._claims[place], entries))
            assert outcome == self._model.append(place, entries)

    async def _append_past_a_hole(self, back: int, hole: int) -> None:
        if (place := self._place(back)) is not None:
            first, last = self._next(place, 1, hole)
            entries = [first, entry(last.end, 1)]
            outcome = await _outcome(self._store.append(self._claims[place], entries))
            assert outcome == self._model.append(place, entries)

    async def _finish(self, back: int, count: int, status: RunStatus) -> None:
        if (place := self._place(back)) is not None:
            entries = self._next(place, count)
            outcome = await _outcome(self._store.finish(self._claims[place], entries, status, DONE))
            assert outcome == self._model.finish(place, entries, status)

    async def _interrupt(self, back: int, count: int, ids: tuple[str, ...], claimed: bool) -> None:
        if (place := self._place(back)) is not None:
            entries, questions = self._next(place, count), _questions(ids)
            outcome = await _outcome(
                self._store.interrupt(self._claims[place], entries, questions, claimed=claimed)
            )
            assert outcome == self._model.interrupt(place, entries, questions, claimed)

    async def _resume(self, run_id: str, answered: str, some_left: bool) -> None:
        run = self._model.runs.get(run_id)
        asked = () if run is None else run.questions
        still = tuple(one for one in asked if one.interrupt_id != answered) if some_left else ()
        record = await self._store.resume(run_id, {answered: [self._turn]}, still=still)
        assert (record is not None) is self._model.resume(run_id, {answered: [self._turn]}, still)

    async def _answers_taken(self, back: int, interrupt_id: str) -> None:
        if (place := self._place(back)) is not None:
            outcome = await _outcome(self._store.answers_taken(self._claims[place], [interrupt_id]))
            assert outcome == self._model.answers_taken(place, [interrupt_id])

    async def _ask_cancel(self, run_id: str, reason: str) -> None:
        record = await self._store.ask_cancel(run_id, reason)
        self._model.ask_cancel(run_id, reason)
        assert (record is not None) is (run_id in self._model.runs)

    async def _settle(self, run_id: str, status: RunStatus) -> None:
        if run_id in self._model.runs:
            record = await record_of(self._store, run_id)
            settled = await self._store.settle(record, entry(record.end), status, DONE)
            assert settled is self._model.settle(run_id, entry(record.end), status)

    async def _heartbeat(self) -> None:
        beats = await anyio.to_thread.run_sync(self._store.heartbeat, self._claims)
        runs = [self._model.holds(place) for place in range(len(self._claims))]
        assert [beat.is_lost for beat in beats] == [run is None for run in runs]
        assert [beat.cancel_reason for beat in beats] == [run and run.cancel for run in runs]


def _questions(ids: tuple[str, ...]) -> tuple[Question, ...]:
    return tuple(Question(id_, {"of": id_}) for id_ in ids)


async def _outcome(call: Awaitable[None]) -> str | None:
    try:
        await call
    except LeaseLostError:
        return LOST
    except CancelAskedError:
        return CANCELLED
    except ValueError:
        return HOLE
    return None


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(operations=st.lists(OPERATIONS, min_size=5, max_size=40))
def test_a_store_does_as_the_model_says(
    backend: Backend, operations: list[tuple[Any, ...]]
) -> None:
    async def compare() -> None:
        with TemporaryDirectory() as folder:
            async with backend(Path(folder)) as open_one:
                limits = rules(max_events=MAX_EVENTS, max_attempts=3)
                compared = Compared([await open_one(limits), await open_one(limits)])
                await compared.do("create", "a", None, True)
                for operation in operations:
                    await compared.do(*operation)

    asyncio.run(compare())
