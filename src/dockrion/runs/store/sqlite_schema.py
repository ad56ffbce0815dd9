"""The tables of runs in a SQLite file, and a run's row as a record."""

from __future__ import annotations

import sqlite3
from typing import Any, Final, NamedTuple

import msgspec

from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.runs.store.base import FINAL, Question, RunRecord
from dockrion.telemetry.base import Carrier

# `run_id` is NULL where the TTL has passed and the row waits to be swept. `token` stays when a claim ends, so that what
# ended it can be asked for again; `lease_until` is NULL when nobody has the run. `due_at` is when somebody must look
# after it. `changed` and `ordered` are numbers of commits, `origin` is the store that made the last change.
# What is large stands in tables of its own, or last: a row is written anew with each batch of events.
TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS runs (
        number INTEGER PRIMARY KEY,
        run_id TEXT UNIQUE,
        status TEXT NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0,
        first INTEGER NOT NULL,
        past INTEGER NOT NULL,
        weight INTEGER NOT NULL DEFAULT 0,
        token TEXT,
        lease_until REAL,
        due_at REAL,
        expires_at REAL,
        changed INTEGER NOT NULL DEFAULT 0,
        ordered INTEGER NOT NULL DEFAULT 0,
        origin INTEGER NOT NULL,
        created_us INTEGER NOT NULL,
        started_at REAL,
        finished_at REAL,
        read_until REAL NOT NULL DEFAULT 0,
        direct INTEGER NOT NULL,
        owner_id TEXT NOT NULL,
        idempotency_key TEXT,
        fingerprint TEXT NOT NULL,
        thread_id TEXT,
        request_id TEXT,
        cancel_reason TEXT,
        trace BLOB,
        owner BLOB NOT NULL,
        questions BLOB,
        answers BLOB,
        result BLOB
    )
    """,
    """
    CREATE UNIQUE INDEX IF NOT EXISTS runs_by_key ON runs (owner_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL
    """,
    "CREATE INDEX IF NOT EXISTS runs_by_age ON runs (created_us, run_id)",
    "CREATE INDEX IF NOT EXISTS runs_by_owner ON runs (owner_id, created_us, run_id)",
    "CREATE INDEX IF NOT EXISTS runs_by_thread ON runs (owner_id, thread_id) WHERE thread_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS runs_by_change ON runs (changed)",
    "CREATE INDEX IF NOT EXISTS runs_due ON runs (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS runs_ended ON runs (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS runs_accepted ON runs (number) WHERE status = 'ACCEPTED'",
    "CREATE INDEX IF NOT EXISTS runs_running ON runs (number) WHERE status = 'RUNNING'",
    # Orders for runs without a record, with the number of their commit.
    """
    CREATE TABLE IF NOT EXISTS called_off (
        run_id TEXT PRIMARY KEY, number INTEGER NOT NULL, at REAL NOT NULL
    )
    """,
    "CREATE TABLE IF NOT EXISTS payloads (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """
    CREATE TABLE IF NOT EXISTS entries (
        place INTEGER PRIMARY KEY, past INTEGER NOT NULL, body BLOB NOT NULL
    )
    """,
)
# An entry's place is its run's number times this, plus the sequence of its first event: so the entries of a run are
# neighbours in the one tree that they are in.
SPAN: Final = 1 << 32

COLUMNS: Final = (
    "number, run_id, status, attempt, first, past, weight, token, lease_until, created_us, started_at, finished_at,"
    " read_until, direct, fingerprint, thread_id, request_id, cancel_reason, trace, owner, questions, answers, result"
)

_FIND: Final = (
    f"SELECT {COLUMNS} FROM runs WHERE run_id = ?"  # noqa: S608
    " AND (expires_at IS NULL OR expires_at > ?)"
)

_owner = msgspec.json.Decoder(Identity)
_trace = msgspec.json.Decoder(Carrier)
_questions = msgspec.json.Decoder(tuple[Question, ...])


class Row(NamedTuple):
    """A run as it is stored, in the order of `COLUMNS`."""

    number: int
    run_id: str
    status: RunStatus
    attempt: int
    first: int
    past: int
    weight: int
    token: str | None
    lease_until: float | None
    created_us: int
    started_at: float | None
    finished_at: float | None
    read_until: float
    direct: int
    fingerprint: str
    thread_id: str | None
    request_id: str | None
    cancel_reason: str | None
    trace: bytes | None
    owner: bytes
    questions: bytes | None
    answers: bytes | None
    result: bytes | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    def is_free(self, now: float) -> bool:
        """Say whether nobody has the run any more."""
        return self.lease_until is None or self.lease_until <= now

    def record(self) -> RunRecord:
        return RunRecord(
            run_id=self.run_id,
            status=RunStatus(self.status),
            owner=_owner.decode(self.owner),
            fingerprint=self.fingerprint,
            created_at=self.created_us / 1_000_000,
            started_at=self.started_at,
            finished_at=self.finished_at,
            thread_id=self.thread_id,
            request_id=self.request_id,
            direct=bool(self.direct),
            claimed=self.lease_until is not None,
            attempt=self.attempt,
            first=self.first,
            end=self.past,
            result=self.result,
            questions=() if self.questions is None else _questions.decode(self.questions),
            answers=None if self.answers is None else msgspec.json.decode(self.answers),
            cancel_reason=self.cancel_reason,
            read_until=self.read_until,
            trace=None if self.trace is None else _trace.decode(self.trace),
        )


def find(db: sqlite3.Connection, run_id: str, now: float) -> Row | None:
    """Return the run, unless its TTL has passed."""
    found = db.execute(_FIND, (run_id, now)).fetchone()
    return None if found is None else Row._make(found)


def update(db: sqlite3.Connection, number: int, **values: Any) -> None:
    """Set columns of a run; each set of names is one prepared statement."""
    names = ", ".join(f"{name} = ?" for name in values)
    statement = f"UPDATE runs SET {names} WHERE number = ?"  # noqa: S608
    db.execute(statement, (*values.values(), number))


def packed(value: Any) -> bytes | None:
    """Return JSON, and NULL for what is empty."""
    return msgspec.json.encode(value) if value else None
