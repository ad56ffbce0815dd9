"""What is done to runs inside one transaction of a SQLite file: plain functions of a connection, run in its threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from time import time
from typing import Any, Final

import msgspec

from dockrion.events.model import RunStatus
from dockrion.runs.store import sqlite_events as events
from dockrion.runs.store.base import (
    FINAL,
    MAX_WAIT_SECONDS,
    Beat,
    CancelAskedError,
    Claim,
    Created,
    Entry,
    LeaseLostError,
    NewRun,
    Question,
    RunRecord,
    StoreRules,
    waits_for,
)
from dockrion.runs.store.sqlite_events import Kept
from dockrion.runs.store.sqlite_schema import COLUMNS, Row, find, packed, update
from dockrion.telemetry.base import Carrier

_BY_NUMBER: Final = f"SELECT {COLUMNS} FROM runs WHERE number = ?"  # noqa: S608
_BY_KEY: Final = f"SELECT {COLUMNS} FROM runs WHERE owner_id = ? AND idempotency_key = ?"  # noqa: S608


class RunWork:
    """Writes as `origin`, a number that tells one store object's changes from those of others."""

    def __init__(self, rules: StoreRules, origin: int) -> None:
        self._rules = rules
        self._origin = origin

    # Records

    def create(self, db: sqlite3.Connection, new: NewRun, token: str) -> Created:
        now = time()
        if (known := self._known(db, new, now)) is not None:
            return Created(known.record(), is_new=False)
        number = self._insert(db, new, RunStatus.ACCEPTED, now, first=0)
        if not new.direct:
            return Created(self._changed(db, number).record(), is_new=True)
        claim = self._give(db, self._row(db, number), token, RunStatus.RUNNING, now)
        return Created(claim.record, is_new=True, claim=claim)

    def create_interrupted(
        self,
        db: sqlite3.Connection,
        new: NewRun,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        token: str | None,
    ) -> Created:
        now = time()
        if (known := self._known(db, new, now)) is not None:
            return Created(known.record(), is_new=False)
        number = self._insert(db, new, RunStatus.INTERRUPTED, now, first=entries[0].first)
        row = self._row(db, number)
        self._append(db, row, entries)
        update(
            db, number, questions=packed(questions), started_at=now, due_at=now + MAX_WAIT_SECONDS
        )
        if token is None:
            return Created(self._changed(db, number).record(), is_new=True)
        claim = self._give(db, self._row(db, number), token, RunStatus.INTERRUPTED, now)
        return Created(claim.record, is_new=True, claim=claim)

    def _known(self, db: sqlite3.Connection, new: NewRun, now: float) -> Row | None:
        """Return the run that has the key or the id; one whose TTL has passed lets go of both."""
        db.execute(
            "UPDATE runs SET run_id = NULL, idempotency_key = NULL"
            " WHERE expires_at <= ? AND (run_id = ? OR (owner_id = ? AND idempotency_key = ?))",
            (now, new.run_id, new.owner.id, new.idempotency_key),
        )
        if new.idempotency_key is not None:
            found = db.execute(_BY_KEY, (new.owner.id, new.idempotency_key)).fetchone()
            if found is not None:
                return Row._make(found)
        return find(db, new.run_id, now)

    def _insert(
        self, db: sqlite3.Connection, new: NewRun, status: RunStatus, now: float, *, first: int
    ) -> int:
        values = {
            "run_id": new.run_id,
            "status": status,
            "first": first,
            "past": first,
            "due_at": now + self._rules.lease_seconds,
            "origin": self._origin,
            "created_us": round(now * 1_000_000),
            "direct": new.direct,
            "owner_id": new.owner.id,
            "idempotency_key": new.idempotency_key,
            "fingerprint": new.fingerprint,
            "thread_id": new.thread_id,
            "request_id": new.request_id,
            "trace": packed(new.trace),
            "owner": msgspec.json.encode(new.owner),
        }
        marks = ", ".join("?" * len(values))
        number = db.execute(
            f"INSERT INTO runs ({', '.join(values)}) VALUES ({marks})",  # noqa: S608
            tuple(values.values()),
        ).lastrowid
        assert number is not None
        db.execute("INSERT INTO payloads (number, body) VALUES (?, ?)", (number, new.payload))
        return number

    # The worker's side

    def claim(self, db: sqlite3.Connection, run_id: str, token: str) -> Claim | None:
        now = time()
        row = find(db, run_id, now)
        if row is None:
            return None
        is_lost = row.status == RunStatus.RUNNING and row.is_free(now) and not row.direct
        if row.status != RunStatus.ACCEPTED and not (
            is_lost and row.attempt < self._rules.max_attempts
        ):
            return None
        return self._give(db, row, token, RunStatus.RUNNING, now)

    def _give(
        self, db: sqlite3.Connection, row: Row, token: str, status: RunStatus, now: float
    ) -> Claim:
        lease_until = now + self._rules.lease_seconds
        update(
            db,
            row.number,
            status=status,
            attempt=row.attempt + 1,
            token=token,
            lease_until=lease_until,
            due_at=lease_until,
            started_at=now if row.started_at is None else row.started_at,
        )
        record = self._changed(db, row.number).record()
        (payload,) = db.execute(
            "SELECT body FROM payloads WHERE number = ?", (row.number,)
        ).fetchone()
        return Claim(record.run_id, token, record, payload)

    def release(self, db: sqlite3.Connection, claim: Claim, *, begun: bool) -> None:
        row = self._of(db, claim)
        if row.lease_until is None and row.status == RunStatus.ACCEPTED:
            return
        self._accept_again(db, _held(row), attempt=row.attempt if begun else row.attempt - 1)

    def _accept_again(self, db: sqlite3.Connection, row: Row, *, attempt: int) -> None:
        update(
            db,
            row.number,
            status=RunStatus.ACCEPTED,
            attempt=attempt,
            questions=None,
            lease_until=None,
            due_at=time() + self._rules.lease_seconds,
        )
        self._mark(db, row.number)

    def hand_back(self, db: sqlite3.Connection, run_id: str, token: str) -> None:
        """Undo a claim, if there was one, whose answer has not reached anybody."""
        row = find(db, run_id, time())
        if row is not None and row.token == token and row.lease_until is not None:
            self._accept_again(db, row, attempt=row.attempt - 1)

    def heartbeat(self, db: sqlite3.Connection, claims: Sequence[Claim]) -> list[Beat]:
        until = time() + self._rules.lease_seconds
        beats: list[Beat] = []
        for claim in claims:
            found = db.execute(
                "SELECT number, cancel_reason FROM runs"
                " WHERE run_id = ? AND token = ? AND lease_until IS NOT NULL",
                (claim.run_id, claim.token),
            ).fetchone()
            if found is not None:
                update(db, found[0], lease_until=until, due_at=until)
            beats.append(Beat(found is None, None if found is None else found[1]))
        return beats

    def append(self, db: sqlite3.Connection, claim: Claim, entries: Sequence[Entry]) -> None:
        row = _held(self._of(db, claim))
        self._append(db, row, entries)
        self._mark(db, row.number)

    def finish(
        self,
        db: sqlite3.Connection,
        claim: Claim,
        entries: Sequence[Entry],
        status: RunStatus,
        result: bytes,
    ) -> None:
        row = self._of(db, claim)
        if row.lease_until is None and row.status == status and row.is_final:
            return
        row = _held(row)
        if status is not RunStatus.CANCELLED:
            _refuse_if_cancelled(row)
        self._append(db, row, entries)
        self._end(db, row, status, result)

    def interrupt(
        self,
        db: sqlite3.Connection,
        claim: Claim,
        entries: Sequence[Entry],
        questions: Sequence[Question],
        *,
        claimed: bool,
    ) -> None:
        row = self._of(db, claim)
        if row.past >= entries[-1].end and not row.is_final:
            # Done already, and perhaps answered meanwhile.
            return
        row = _held(row)
        _refuse_if_cancelled(row)
        self._append(db, row, entries)
        update(db, row.number, status=RunStatus.INTERRUPTED, questions=packed(questions))
        if not claimed:
            update(
                db,
                row.number,
                lease_until=None,
                due_at=time() + MAX_WAIT_SECONDS,
                answers=None,
            )
        self._mark(db, row.number)

    def answers_taken(
        self, db: sqlite3.Connection, claim: Claim, interrupt_ids: Sequence[str]
    ) -> None:
        row = _held(self._of(db, claim))
        left = {id_: value for id_, value in _answers(row).items() if id_ not in interrupt_ids}
        update(db, row.number, answers=packed(left))

    # Everybody's side

    def resume(
        self,
        db: sqlite3.Connection,
        run_id: str,
        answers: dict[str, Any],
        still: Sequence[Question],
        trace: Carrier | None,
    ) -> RunRecord | None:
        now = time()
        row = find(db, run_id, now)
        if row is None or row.status != RunStatus.INTERRUPTED:
            return None
        if not waits_for(row.record().questions, answers, still):
            return None
        update(db, row.number, answers=packed({**_answers(row), **answers}), trace=packed(trace))
        if row.lease_until is None:
            update(
                db,
                row.number,
                status=RunStatus.ACCEPTED,
                attempt=0,
                questions=None,
                due_at=now + self._rules.lease_seconds,
            )
        else:
            status = RunStatus.INTERRUPTED if still else RunStatus.RUNNING
            update(db, row.number, status=status, questions=packed(still))
        return self._ordered(db, row.number).record()

    def ask_cancel(self, db: sqlite3.Connection, run_id: str, reason: str) -> RunRecord | None:
        row = find(db, run_id, time())
        if row is None:
            return None
        if row.is_final or row.lease_until is None or row.cancel_reason is not None:
            return row.record()
        update(db, row.number, cancel_reason=reason)
        return self._ordered(db, row.number).record()

    def settle(
        self,
        db: sqlite3.Connection,
        record: RunRecord,
        entry: Entry,
        status: RunStatus,
        result: bytes,
    ) -> bool:
        now = time()
        row = find(db, record.run_id, now)
        if row is None or row.is_final or not row.is_free(now):
            return False
        if (row.status, row.attempt, row.past) != (record.status, record.attempt, record.end):
            return False
        self._append(db, row, [entry])
        self._end(db, row, status, result)
        update(db, row.number, token=None)
        return True

    def reading(self, db: sqlite3.Connection, run_id: str, seconds: float) -> None:
        now = time()
        row = find(db, run_id, now)
        if row is not None:
            update(db, row.number, read_until=max(row.read_until, now + seconds))

    def overdue(self, db: sqlite3.Connection, limit: int) -> list[RunRecord]:
        now = time()
        rows = db.execute(
            f"SELECT {COLUMNS} FROM runs WHERE due_at <= ? ORDER BY due_at LIMIT ?",  # noqa: S608
            (now, limit),
        ).fetchall()
        found = [Row._make(row) for row in rows]
        for row in found:
            update(db, row.number, due_at=now + self._rules.lease_seconds / 3)
        return [row.record() for row in found]

    # Steps

    def _of(self, db: sqlite3.Connection, claim: Claim) -> Row:
        """Return the run as long as nobody else has claimed or ended it, whether or not the claim has ended itself."""
        row = find(db, claim.run_id, time())
        if row is None or row.token != claim.token:
            raise LeaseLostError(claim.run_id)
        return row

    def _row(self, db: sqlite3.Connection, number: int) -> Row:
        return Row._make(db.execute(_BY_NUMBER, (number,)).fetchone())

    def _append(self, db: sqlite3.Connection, row: Row, entries: Sequence[Entry]) -> None:
        kept = Kept(row.first, row.past, row.weight)
        after = events.append(db, row.number, kept, entries, self._rules)
        if after != kept:
            update(db, row.number, first=after.first, past=after.past, weight=after.weight)

    def _end(self, db: sqlite3.Connection, row: Row, status: RunStatus, result: bytes) -> None:
        assert status in FINAL
        now = time()
        update(
            db,
            row.number,
            status=status,
            result=result,
            finished_at=now,
            expires_at=now + self._rules.ttl_seconds,
            lease_until=None,
            due_at=None,
            questions=None,
            answers=None,
        )
        db.execute("DELETE FROM payloads WHERE number = ?", (row.number,))
        self._mark(db, row.number)

    def _mark(self, db: sqlite3.Connection, number: int) -> None:
        db.execute(
            "UPDATE runs SET changed = (SELECT number FROM commits), origin = ? WHERE number = ?",
            (self._origin, number),
        )

    def _changed(self, db: sqlite3.Connection, number: int) -> Row:
        self._mark(db, number)
        return self._row(db, number)

    def _ordered(self, db: sqlite3.Connection, number: int) -> Row:
        """Mark a change that whoever executes the run must hear of, whatever else changes in it."""
        db.execute(
            "UPDATE runs SET ordered = (SELECT number FROM commits) WHERE number = ?", (number,)
        )
        return self._changed(db, number)


def _held(row: Row) -> Row:
    if row.lease_until is None:
        raise LeaseLostError(row.run_id)
    return row


def _refuse_if_cancelled(row: Row) -> None:
    if row.cancel_reason is not None:
        raise CancelAskedError(row.cancel_reason)


def _answers(row: Row) -> dict[str, Any]:
    return {} if row.answers is None else msgspec.json.decode(row.answers)
