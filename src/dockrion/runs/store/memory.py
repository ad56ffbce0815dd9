"""Runs in the memory of one process: gone with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from itertools import islice
from time import monotonic, time
from typing import Any, Final

import msgspec

from dockrion.events.model import RunStatus
from dockrion.runs.store.base import (
    Beat,
    Claim,
    Created,
    Entry,
    LeaseLostError,
    NewRun,
    Page,
    Question,
    RunPage,
    RunRecord,
    StoreRules,
    Waiting,
    waits_for,
)
from dockrion.runs.store.memory_run import StoredRun
from dockrion.runs.store.memory_shelf import Shelf
from dockrion.telemetry.base import Carrier

# Of all runs that have ended.
MAX_ENDED_BYTES: Final = 256 << 20

_Replace = msgspec.structs.replace


class MemoryStore:
    """`RunStore` and `LocalWork`."""

    def __init__(self, rules: StoreRules, *, max_ended_bytes: int = MAX_ENDED_BYTES) -> None:
        self._rules = rules
        self._runs = Shelf(rules, max_ended_bytes=max_ended_bytes, forgot=self._changed)
        # Those that wait for a worker, in the order in which they came.
        self._accepted: dict[str, None] = {}
        self._watchers: dict[str, list[Callable[[], None]]] = {}
        self._work_changed: Callable[[], None] | None = None
        self._order_came: Callable[[str | None], None] | None = None

    @property
    def rules(self) -> StoreRules:
        return self._rules

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        self._runs.clear()
        self._accepted.clear()
        self._watchers.clear()

    async def check(self) -> None:
        pass

    def __len__(self) -> int:
        return len(self._runs)

    # Records

    async def create(self, new: NewRun) -> Created:
        found = self._runs.known(new)
        if found is not None:
            return Created(found.record, is_new=False)
        stored = self._runs.add(
            new, RunStatus.RUNNING if new.direct else RunStatus.ACCEPTED, first=0
        )
        if new.direct:
            claim = self._give(stored)
            return Created(stored.record, is_new=True, claim=claim)
        self._wait_for_worker(stored)
        return Created(stored.record, is_new=True)

    async def create_interrupted(
        self, new: NewRun, entries: Sequence[Entry], questions: Sequence[Question], *, claimed: bool
    ) -> Created:
        found = self._runs.known(new)
        if found is not None:
            return Created(found.record, is_new=False)
        stored = self._runs.add(new, RunStatus.INTERRUPTED, first=entries[0].first)
        stored.keep(entries)
        stored.record = _Replace(stored.record, questions=tuple(questions))
        claim = self._give(stored) if claimed else None
        return Created(stored.record, is_new=True, claim=claim)

    async def get(self, run_id: str) -> RunRecord | None:
        stored = self._runs.find(run_id)
        return None if stored is None else stored.record

    async def list(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        return self._runs.page(owner_id=owner_id, status=status, cursor=cursor, limit=limit)

    async def newest_in(self, thread_id: str, *, owner_id: str) -> RunRecord | None:
        stored = self._runs.newest_in(thread_id, owner_id=owner_id)
        return None if stored is None else stored.record

    async def waiting(self) -> Waiting:
        interrupted = (
            stored.record.status is RunStatus.INTERRUPTED for stored in self._runs.open_runs
        )
        return Waiting(len(self._accepted), sum(interrupted))

    # The worker's side

    async def claim(self, run_id: str) -> Claim | None:
        stored = self._runs.find(run_id)
        if stored is None or not stored.can_be_claimed(self._rules):
            return None
        return self._give(stored)

    async def release(self, claim: Claim, *, begun: bool) -> None:
        if self._has_ended_in(claim, RunStatus.ACCEPTED):
            return
        stored = self._held(claim)
        stored.let_go()
        attempt = stored.record.attempt - (not begun)
        stored.record = _Replace(
            stored.record, status=RunStatus.ACCEPTED, attempt=attempt, questions=()
        )
        self._wait_for_worker(stored)
        self._changed(claim.run_id)

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        beats: list[Beat] = []
        for claim in claims:
            stored = self._runs.get(claim.run_id)
            if stored is None or stored.token != claim.token:
                beats.append(Beat(is_lost=True))
                continue
            stored.lease_ends = monotonic() + self._rules.lease_seconds
            beats.append(Beat(is_lost=False, cancel_reason=stored.record.cancel_reason))
        return beats

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        self.append_now(claim, entries)

    def append_now(self, claim: Claim, entries: Sequence[Entry]) -> None:
        stored = self._held(claim)
        stored.keep(entries)
        self._changed(claim.run_id)

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        if self._has_ended_in(claim, status):
            return
        stored = self._held(claim)
        stored.refuse_if_cancelled(status)
        stored.keep(entries)
        self._end(stored, status, result)

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        if self._has_been_written(claim, entries):
            return
        stored = self._held(claim)
        stored.refuse_if_cancelled(None)
        stored.keep(entries)
        if not claimed:
            stored.let_go()
        stored.seen = monotonic()
        stored.record = _Replace(
            stored.record,
            status=RunStatus.INTERRUPTED,
            questions=tuple(questions),
            answers=stored.record.answers if claimed else None,
        )
        self._changed(claim.run_id)

    # Everybody's side

    async def resume(
        self,
        run_id: str,
        answers: dict[str, Any],
        *,
        still: Sequence[Question],
        trace: Carrier | None = None,
    ) -> RunRecord | None:
        stored = self._runs.find(run_id)
        if stored is None or stored.record.status is not RunStatus.INTERRUPTED:
            return None
        if not waits_for(stored.record.questions, answers, still):
            return None
        all_answers = {**(stored.record.answers or {}), **answers}
        if stored.token is None:
            stored.record = _Replace(
                stored.record,
                status=RunStatus.ACCEPTED,
                attempt=0,
                questions=(),
                answers=all_answers,
                trace=trace,
            )
            self._wait_for_worker(stored)
        else:
            stored.record = _Replace(
                stored.record,
                status=RunStatus.INTERRUPTED if still else RunStatus.RUNNING,
                questions=tuple(still),
                answers=all_answers,
                trace=trace,
            )
            self._ordered(run_id)
        self._changed(run_id)
        return stored.record

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        stored = self._held(claim)
        taken = set(interrupt_ids)
        left = {
            id_: value for id_, value in (stored.record.answers or {}).items() if id_ not in taken
        }
        stored.record = _Replace(stored.record, answers=left or None)

    async def ask_cancel(self, run_id: str, reason: str) -> RunRecord | None:
        stored = self._runs.find(run_id)
        if stored is None:
            return None
        record = stored.record
        if stored.token is not None and record.cancel_reason is None and not record.is_final:
            stored.record = _Replace(record, cancel_reason=reason)
            self._ordered(run_id)
        return stored.record

    async def call_off(self, run_id: str) -> None:
        if self._order_came is not None:
            self._order_came(run_id)

    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        stored = self._runs.find(record.run_id)
        if stored is None:
            return False
        now = stored.record
        same = (now.status, now.attempt, now.end) == (record.status, record.attempt, record.end)
        if not same or now.is_final:
            return False
        if stored.token is not None and not stored.lease_has_passed:
            return False
        stored.token = None
        stored.keep([entry])
        self._end(stored, status, result)
        return True

    async def reading(self, run_id: str, seconds: float) -> None:
        stored = self._runs.find(run_id)
        if stored is not None:
            until = max(stored.record.read_until, time() + seconds)
            stored.record = _Replace(stored.record, read_until=until)

    # Readers

    async def read(self, run_id: str, start: int) -> Page | None:
        stored = self._runs.find(run_id)
        if stored is None:
            return None
        events = stored.events
        entries = events.read(max(start, events.first))
        return Page(entries, events.first, events.end, stored.record.status)

    async def watch(self, run_id: str, changed: Callable[[], None]) -> None:
        self._watchers.setdefault(run_id, []).append(changed)

    def unwatch(self, run_id: str, changed: Callable[[], None]) -> None:
        watchers = self._watchers.get(run_id)
        if watchers is not None and changed in watchers:
            watchers.remove(changed)
            if not watchers:
                del self._watchers[run_id]

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        self._order_came = changed

    # Housekeeping

    async def overdue(self, limit: int) -> list[RunRecord]:
        now = monotonic()
        late = [stored for stored in self._runs.open_runs if stored.is_overdue(now, self._rules)][
            :limit
        ]
        for stored in late:
            stored.seen = now
        return [stored.record for stored in late]

    async def sweep(self) -> None:
        self._runs.sweep()

    async def claimable(self, limit: int) -> list[str]:
        found = list(islice(self._accepted, limit))
        if len(found) < limit:
            lost = (stored for stored in self._runs.open_runs if stored.token is not None)
            found += [one.record.run_id for one in lost if one.can_be_claimed(self._rules)]
        return found[:limit]

    def watch_work(self, changed: Callable[[], None]) -> None:
        self._work_changed = changed

    # Steps

    def _give(self, stored: StoredRun) -> Claim:
        record = stored.record
        self._accepted.pop(record.run_id, None)
        token = secrets.token_hex(16)
        stored.give(token, self._rules)
        self._changed(record.run_id)
        return Claim(record.run_id, token, stored.record, stored.payload)

    def _wait_for_worker(self, stored: StoredRun) -> None:
        stored.seen = monotonic()
        self._accepted[stored.record.run_id] = None
        if self._work_changed is not None:
            self._work_changed()

    def _has_ended_in(self, claim: Claim, status: RunStatus) -> bool:
        """Say whether the claim has ended, with this status, so that there is nothing to do once more."""
        stored = self._runs.get(claim.run_id)
        return (
            stored is not None
            and stored.last_token == claim.token
            and stored.record.status is status
        )

    def _has_been_written(self, claim: Claim, entries: Sequence[Entry]) -> bool:
        stored = self._runs.get(claim.run_id)
        if stored is None or claim.token not in (stored.token, stored.last_token):
            return False
        return not stored.record.is_final and stored.events.end >= entries[-1].end

    def _held(self, claim: Claim) -> StoredRun:
        stored = self._runs.get(claim.run_id)
        if stored is None or stored.token != claim.token:
            raise LeaseLostError(claim.run_id)
        return stored

    def _end(self, stored: StoredRun, status: RunStatus, result: bytes) -> None:
        run_id = stored.record.run_id
        self._accepted.pop(run_id, None)
        self._runs.end(stored, status, result)
        self._changed(run_id)
        self._runs.sweep()

    def _ordered(self, run_id: str) -> None:
        if self._order_came is not None:
            self._order_came(run_id)

    def _changed(self, run_id: str) -> None:
        for changed in tuple(self._watchers.get(run_id, ())):
            changed()
