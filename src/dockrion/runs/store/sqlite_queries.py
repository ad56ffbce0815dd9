"""What is looked for in the runs of a SQLite file: pages, news, what is to be done, what is to go."""

from __future__ import annotations

import sqlite3
from time import time
from typing import Any, Final, NamedTuple

from dockrion.events.model import RunStatus
from dockrion.runs.store import sqlite_events as events
from dockrion.runs.store.base import Page, RunPage, Waiting
from dockrion.runs.store.cursor import Place, cursor_to, place_of
from dockrion.runs.store.sqlite_schema import COLUMNS, Row, find

# One step of a sweep holds up other writers for some milliseconds.
_SWEEP_RUNS: Final = 64
_SWEEP_BYTES: Final = 4 << 20
# What stays free in the file is used for the next runs.
_FREE_PAGES: Final = 4096
_VACUUM_PAGES: Final = 1024
# By then everybody has looked.
_CALLED_OFF_SECONDS: Final = 60.0
_NEWEST: Final = (
    f"SELECT {COLUMNS} FROM runs WHERE owner_id = ? AND thread_id = ? AND run_id IS NOT NULL"  # noqa: S608
    " AND (expires_at IS NULL OR expires_at > ?) ORDER BY number DESC LIMIT 1"
)


class News(NamedTuple):
    """A run that has changed; `is_order`: its cancel was asked for, it was answered or called off."""

    run_id: str
    is_accepted: bool
    is_order: bool


def list_runs(
    db: sqlite3.Connection,
    *,
    owner_id: str | None,
    status: RunStatus | None,
    before: Place | None,
    limit: int,
) -> RunPage:
    wanted = ["run_id IS NOT NULL", "(expires_at IS NULL OR expires_at > ?)"]
    values: list[Any] = [time()]
    if owner_id is not None:
        wanted.append("owner_id = ?")
        values.append(owner_id)
    if status is not None:
        wanted.append("status = ?")
        values.append(status)
    if before is not None:
        wanted.append("(created_us, run_id) < (?, ?)")
        values += before
    statement = (
        f"SELECT {COLUMNS} FROM runs WHERE {' AND '.join(wanted)}"  # noqa: S608
        " ORDER BY created_us DESC, run_id DESC LIMIT ?"
    )
    rows = db.execute(statement, (*values, limit + 1)).fetchall()
    records = [Row._make(row).record() for row in rows[:limit]]
    if len(rows) <= limit:
        return RunPage(records, None)
    return RunPage(records, cursor_to(place_of(records[-1].created_at, records[-1].run_id)))


def newest_in(db: sqlite3.Connection, thread_id: str, owner_id: str) -> Row | None:
    found = db.execute(_NEWEST, (owner_id, thread_id, time())).fetchone()
    return None if found is None else Row._make(found)


def read_page(db: sqlite3.Connection, run_id: str, start: int) -> Page | None:
    found = db.execute(
        "SELECT number, first, past, status FROM runs"
        " WHERE run_id = ? AND (expires_at IS NULL OR expires_at > ?)",
        (run_id, time()),
    ).fetchone()
    if found is None:
        return None
    number, first, past, status = found
    start = max(start, first)
    entries = events.read(db, number, start) if start < past else []
    return Page(entries, first, past, RunStatus(status))


def get(db: sqlite3.Connection, run_id: str) -> Row | None:
    return find(db, run_id, time())


def news_after(db: sqlite3.Connection, commit: int, origin: int) -> list[News]:
    """Return what others than `origin` have changed since a commit, and all orders."""
    rows = db.execute(
        "SELECT run_id, status = 'ACCEPTED', ordered > ? FROM runs"
        " WHERE changed > ? AND (origin <> ? OR ordered > ?) AND run_id IS NOT NULL"
        " UNION ALL SELECT run_id, 0, 1 FROM called_off WHERE number > ?",
        (commit, commit, origin, commit, commit),
    )
    return [News._make(row) for row in rows]


def call_off(db: sqlite3.Connection, run_id: str) -> None:
    """Note an order for whoever looks for news."""
    now = time()
    db.execute("DELETE FROM called_off WHERE at < ?", (now - _CALLED_OFF_SECONDS,))
    db.execute(
        "INSERT OR REPLACE INTO called_off VALUES (?, (SELECT number FROM commits), ?)",
        (run_id, now),
    )


def claimable(db: sqlite3.Connection, limit: int, max_attempts: int) -> list[str]:
    rows = db.execute(
        "SELECT run_id FROM runs WHERE status = 'ACCEPTED' ORDER BY number LIMIT ?", (limit,)
    ).fetchall()
    if len(rows) < limit:
        rows += db.execute(
            "SELECT run_id FROM runs WHERE status = 'RUNNING'"
            " AND lease_until <= ? AND NOT direct AND attempt < ? ORDER BY number LIMIT ?",
            (time(), max_attempts, limit - len(rows)),
        ).fetchall()
    return [run_id for (run_id,) in rows]


def waiting(db: sqlite3.Connection) -> Waiting:
    (accepted,) = db.execute("SELECT count(*) FROM runs WHERE status = 'ACCEPTED'").fetchone()
    # All that are not final are due some time.
    (interrupted,) = db.execute(
        "SELECT count(*) FROM runs WHERE due_at IS NOT NULL AND status = 'INTERRUPTED'"
    ).fetchone()
    return Waiting(accepted, interrupted)


def sweep_some(db: sqlite3.Connection) -> bool:
    """Delete some of what has expired; say whether there may be more."""
    room = _SWEEP_BYTES
    rows = db.execute(
        "SELECT number FROM runs WHERE expires_at <= ? ORDER BY expires_at LIMIT ?",
        (time(), _SWEEP_RUNS),
    ).fetchall()
    for (number,) in rows:
        deleted = events.delete(db, number, max_bytes=room) if room > 0 else None
        if deleted is None:
            return True
        room -= deleted
        db.execute("DELETE FROM payloads WHERE number = ?", (number,))
        db.execute("DELETE FROM runs WHERE number = ?", (number,))
    return len(rows) == _SWEEP_RUNS


def vacuum_some(db: sqlite3.Connection) -> bool:
    """Give some of the file's free pages back to the disk; say whether there may be more."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    surplus = min(free - _FREE_PAGES, _VACUUM_PAGES)
    if surplus <= 0:
        return False
    db.execute(f"PRAGMA incremental_vacuum({surplus})").fetchall()
    return True
