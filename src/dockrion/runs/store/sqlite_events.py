"""The events of runs in a SQLite file: one row an entry, the oldest trimmed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from dockrion.runs.kept import ENTRY_BYTES
from dockrion.runs.store.base import READ_BYTES, Entry, StoreRules
from dockrion.runs.store.sqlite_schema import SPAN


class Kept(NamedTuple):
    """Of one run: sequences from `first` to before `past` can be read; `weight` is what they take in bytes."""

    first: int
    past: int
    weight: int


def append(
    db: sqlite3.Connection, number: int, kept: Kept, entries: Sequence[Entry], rules: StoreRules
) -> Kept:
    """Keep the entries that are not there yet, and trim; raise `ValueError` for a hole."""
    past, weight = kept.past, kept.weight
    rows: list[tuple[int, int, bytes]] = []
    for entry in entries:
        if entry.end <= past:
            continue
        if entry.first != past:
            raise ValueError(f"events {entry.first} to {entry.end} do not follow {past}")
        rows.append((number * SPAN + entry.first, entry.end, entry.body))
        past = entry.end
        weight += len(entry.body) + ENTRY_BYTES
    if not rows:
        return kept
    db.executemany("INSERT INTO entries (place, past, body) VALUES (?, ?, ?)", rows)
    if past - rules.max_events <= kept.first and weight <= rules.max_bytes:
        return Kept(kept.first, past, weight)
    return _trim(db, number, Kept(kept.first, past, weight), rules)


def _trim(db: sqlite3.Connection, number: int, kept: Kept, rules: StoreRules) -> Kept:
    """Let go of what is over the bounds; never of the newest entry, so what ended a run can always be read."""
    first = max(kept.first, kept.past - rules.max_events)
    weight = kept.weight
    start = oldest = number * SPAN
    rows = db.execute(
        "SELECT place, past, length(body) FROM entries WHERE place >= ? AND place < ?"
        " ORDER BY place",
        (start, start + SPAN),
    )
    for place, past, size in rows:
        oldest = place
        if past == kept.past or (past > first and weight <= rules.max_bytes):
            break
        weight -= size + ENTRY_BYTES
    rows.close()
    db.execute("DELETE FROM entries WHERE place >= ? AND place < ?", (start, oldest))
    return Kept(max(first, oldest - start), kept.past, weight)


def read(db: sqlite3.Connection, number: int, start: int) -> list[Entry]:
    """Return entries from the one that has `start` on, `READ_BYTES` at most but for a larger one."""
    base = number * SPAN
    rows = db.execute(
        "SELECT place, past, body FROM entries WHERE place < ? AND place >="
        " (SELECT max(place) FROM entries WHERE place >= ? AND place <= ?) ORDER BY place",
        (base + SPAN, base, base + start),
    )
    entries: list[Entry] = []
    room = READ_BYTES
    for place, past, body in rows:
        room -= len(body)
        if entries and room < 0:
            break
        entries.append(Entry(place - base, past, body))
    rows.close()
    return entries


def delete(db: sqlite3.Connection, number: int, *, max_bytes: int) -> int | None:
    """Delete about so many bytes of a run's entries; return how many that were, or None when more are left."""
    base = number * SPAN
    rows = db.execute(
        "SELECT place, length(body) FROM entries WHERE place >= ? AND place < ? ORDER BY place",
        (base, base + SPAN),
    )
    deleted = 0
    stop = base + SPAN
    for place, size in rows:
        if deleted >= max_bytes:
            stop = place
            break
        deleted += size + ENTRY_BYTES
    rows.close()
    db.execute("DELETE FROM entries WHERE place >= ? AND place < ?", (base, stop))
    return deleted if stop == base + SPAN else None
