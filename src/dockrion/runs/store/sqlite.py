"""Runs in a SQLite file: for the processes of one machine, with no server to install."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from dockrion.backends.sqlite import Database
from dockrion.events.model import RunStatus
from dockrion.runs.store import sqlite_queries as queries
from dockrion.runs.store.base import (
    Beat,
    Claim,
    Created,
    Entry,
    NewRun,
    Page,
    Question,
    RunPage,
    RunRecord,
    StoreRules,
    Waiting,
)
from dockrion.runs.store.cursor import place_in
from dockrion.runs.store.sqlite_queries import News
from dockrion.runs.store.sqlite_schema import TABLES
from dockrion.runs.store.sqlite_work import RunWork
from dockrion.telemetry.base import Carrier

T = TypeVar("T")

# How often to look for what other processes have written: while somebody reads, and while this process only works.
READING_SECONDS: Final = 0.004
WORKING_SECONDS: Final = 0.05


class SqliteStore:
    """`RunStore` and `LocalWork`; see `Database` for what survives what.

    Watchers hear of what this object writes at once, and of what others write as soon as it is looked for.
    """

    def __init__(self, place: Path | Database, rules: StoreRules) -> None:
        """A database may be in use for other things, too."""
        self.database = place if isinstance(place, Database) else Database(place)
        self._rules = rules
        origin = secrets.randbits(62)
        self._work = RunWork(rules, origin)
        self._origin = origin
        self._watchers: dict[str, list[Callable[[], None]]] = {}
        self._work_changed: Callable[[], None] | None = None
        self._order_changed: Callable[[str | None], None] | None = None
        self._seconds: float | None = None

    @property
    def rules(self) -> StoreRules:
        return self._rules

    @property
    def append_now(self) -> None:
        return None

    async def open(self) -> None:
        await self.database.open()
        try:
            await self.database.make(TABLES)
        except BaseException:
            await self.database.close()
            raise

    async def close(self) -> None:
        self._watchers.clear()
        self._work_changed = self._order_changed = None
        self._seconds = None
        await self.database.close()

    async def check(self) -> None:
        await self.database.check()

    # Records

    async def create(self, new: NewRun) -> Created:
        return await self._write(
            new.run_id, lambda db: self._work.create(db, new, _token()), is_accepted=not new.direct
        )

    async def create_interrupted(
        self, new: NewRun, entries: Sequence[Entry], questions: Sequence[Question], *, claimed: bool
    ) -> Created:
        token = _token() if claimed else None
        return await self._write(
            new.run_id,
            lambda db: self._work.create_interrupted(db, new, entries, questions, token),
        )

    async def get(self, run_id: str) -> RunRecord | None:
        row = await self.database.read(lambda db: queries.get(db, run_id))
        return None if row is None else row.record()

    async def list(
        self, *, owner_id: str | None, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        before = None if cursor is None else place_in(cursor)
        return await self.database.read(
            lambda db: queries.list_runs(
                db, owner_id=owner_id, status=status, before=before, limit=limit
            )
        )

    async def newest_in(self, thread_id: str, *, owner_id: str) -> RunRecord | None:
        row = await self.database.read(lambda db: queries.newest_in(db, thread_id, owner_id))
        return None if row is None else row.record()

    async def waiting(self) -> Waiting:
        return await self.database.read(queries.waiting)

    # The worker's side

    async def claim(self, run_id: str) -> Claim | None:
        token = _token()
        try:
            return await self._write(run_id, lambda db: self._work.claim(db, run_id, token))
        except BaseException:
            # Nobody will know that the run has been claimed, if it has.
            self.database.write_later(lambda db: self._work.hand_back(db, run_id, token))
            raise

    async def release(self, claim: Claim, *, begun: bool) -> None:
        await self._write(
            claim.run_id, lambda db: self._work.release(db, claim, begun=begun), is_accepted=True
        )

    def heartbeat(self, claims: Sequence[Claim]) -> list[Beat]:
        return self.database.write_from_thread(
            lambda db: self._work.heartbeat(db, claims), seconds=self._rules.lease_seconds / 3
        )

    async def append(self, claim: Claim, entries: Sequence[Entry]) -> None:
        await self._write(claim.run_id, lambda db: self._work.append(db, claim, entries))

    async def finish(
        self, claim: Claim, entries: Sequence[Entry], status: RunStatus, result: bytes
    ) -> None:
        await self._write(
            claim.run_id, lambda db: self._work.finish(db, claim, entries, status, result)
        )

    async def interrupt(
        self,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        await self._write(
            claim.run_id,
            lambda db: self._work.interrupt(db, claim, entries, questions, claimed=claimed),
        )

    # Everybody's side

    async def resume(
        self,
        run_id: str,
        answers: dict[str, Any],
        *,
        still: Sequence[Question],
        trace: Carrier | None = None,
    ) -> RunRecord | None:
        return await self._write(
            run_id,
            lambda db: self._work.resume(db, run_id, answers, still, trace),
            is_accepted=True,
            is_order=True,
        )

    async def answers_taken(self, claim: Claim, interrupt_ids: Sequence[str]) -> None:
        await self.database.write(lambda db: self._work.answers_taken(db, claim, interrupt_ids))

    async def ask_cancel(self, run_id: str, reason: str) -> RunRecord | None:
        return await self._write(
            run_id, lambda db: self._work.ask_cancel(db, run_id, reason), is_order=True
        )

    async def call_off(self, run_id: str) -> None:
        await self._write(run_id, lambda db: queries.call_off(db, run_id), is_order=True)

    async def settle(
        self, record: RunRecord, entry: Entry, status: RunStatus, result: bytes
    ) -> bool:
        return await self._write(
            record.run_id, lambda db: self._work.settle(db, record, entry, status, result)
        )

    async def reading(self, run_id: str, seconds: float) -> None:
        await self.database.write(lambda db: self._work.reading(db, run_id, seconds))

    # Readers

    async def read(self, run_id: str, start: int) -> Page | None:
        return await self.database.read(lambda db: queries.read_page(db, run_id, start))

    async def watch(self, run_id: str, changed: Callable[[], None]) -> None:
        self._watchers.setdefault(run_id, []).append(changed)
        try:
            await self._look()
        except BaseException:
            self.unwatch(run_id, changed)
            raise

    def unwatch(self, run_id: str, changed: Callable[[], None]) -> None:
        watchers = self._watchers.get(run_id, [])
        if changed in watchers:
            watchers.remove(changed)
        if not watchers:
            self._watchers.pop(run_id, None)
        self._set_pace()

    async def watch_orders(self, changed: Callable[[str | None], None]) -> None:
        self._order_changed = changed
        await self._look()

    # Housekeeping

    async def overdue(self, limit: int) -> list[RunRecord]:
        return await self.database.write(lambda db: self._work.overdue(db, limit))

    async def sweep(self) -> None:
        while await self.database.write(queries.sweep_some):
            pass
        while await self.database.write(queries.vacuum_some):
            pass

    async def claimable(self, limit: int) -> list[str]:
        most = self._rules.max_attempts
        return await self.database.read(lambda db: queries.claimable(db, limit, most))

    def watch_work(self, changed: Callable[[], None]) -> None:
        self._work_changed = changed
        self._set_pace()
        # There may be some already.
        changed()

    # Who hears of what

    async def _write(
        self,
        run_id: str,
        work: Callable[[sqlite3.Connection], T],
        *,
        is_accepted: bool = False,
        is_order: bool = False,
    ) -> T:
        news = [News(run_id, is_accepted, is_order)]
        return await self.database.write(work, then=lambda: self._tell(news))

    def _tell(self, news: Sequence[News]) -> None:
        for run_id, _, is_order in news:
            if is_order and self._order_changed is not None:
                self._order_changed(run_id)
            for changed in tuple(self._watchers.get(run_id, ())):
                changed()
        if self._work_changed is not None and any(one.is_accepted for one in news):
            self._work_changed()

    async def _look(self) -> None:
        self._set_pace()
        await self.database.read(lambda _: None)

    def _set_pace(self) -> None:
        if self._watchers:
            seconds = READING_SECONDS
        elif self._work_changed is not None or self._order_changed is not None:
            seconds = WORKING_SECONDS
        else:
            seconds = None
        if seconds == self._seconds:
            return
        self._seconds = seconds
        if seconds is None:
            self.database.unwatch()
        else:
            self.database.watch(
                lambda db, commit: queries.news_after(db, commit, self._origin),
                self._tell,
                seconds=seconds,
            )


def _token() -> str:
    return secrets.token_hex(16)
