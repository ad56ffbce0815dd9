"""Counting calls in a SQLite file: over the processes of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import time
from typing import Final

import msgspec

from dockrion.auth.rates import MAX_CALLERS, Rate, Verdict, Window, short_key
from dockrion.backends.sqlite import Database

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS callers (
        number INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        calls INTEGER NOT NULL,
        seconds INTEGER NOT NULL,
        called_at REAL NOT NULL,
        counted_at REAL NOT NULL,
        window BLOB NOT NULL,
        UNIQUE (key, calls, seconds)
    )
    """,
    "CREATE INDEX IF NOT EXISTS callers_by_call ON callers (called_at)",
)
# Counting all callers takes longer than a call, so it is done once in so many.
_CALLS_BETWEEN_COUNTS: Final = 256
# Of those whose calls no longer count, so many go with each call.
_FORGOTTEN: Final = 4


class _Counted(msgspec.Struct, array_like=True):
    """A window as it is stored."""

    opened: float
    calls: list[list[float]]


_counted = msgspec.msgpack.Decoder(_Counted)


class SqliteRateLimiter:
    """Counts as `MemoryRateLimiter` does, by the clock that the processes of a machine share.

    `max_callers` is about how many are remembered, of all rates together.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float] = time,
        max_callers: int = MAX_CALLERS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._max_callers = max_callers
        self._has_tables = False
        self._calls = 0

    async def hit(self, key: str, rate: Rate) -> Verdict:
        if not self._has_tables:
            await self._database.make(_TABLES)
            self._has_tables = True
        stored_key = short_key(key).encode("utf-8", "surrogatepass")
        return await self._database.write(lambda db: self._hit(db, stored_key, rate))

    def _hit(self, db: sqlite3.Connection, key: bytes, rate: Rate) -> Verdict:
        now = self._clock()
        found = db.execute(
            "SELECT window FROM callers WHERE key = ? AND calls = ? AND seconds = ?", (key, *rate)
        ).fetchone()
        window = Window(rate) if found is None else _window(rate, found[0], now)
        verdict = window.hit(now)
        counted = msgspec.msgpack.encode(_Counted(window.opened, window.calls))
        db.execute(
            "INSERT INTO callers (key, calls, seconds, called_at, counted_at, window)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, calls, seconds) DO UPDATE SET"
            " called_at = excluded.called_at, counted_at = excluded.counted_at, window = excluded.window",
            (key, *rate, now, window.counted_at, counted),
        )
        self._forget(db, now)
        return verdict

    def _forget(self, db: sqlite3.Connection, now: float) -> None:
        """Let go of those whose calls no longer count and, past the bound, of who has not called for longest."""
        db.execute(
            # As a window has it, to the last bit.
            "DELETE FROM callers WHERE ? - counted_at >= seconds AND number IN"
            " (SELECT number FROM callers ORDER BY called_at LIMIT ?)",
            (now, _FORGOTTEN),
        )
        self._calls += 1
        if self._calls % min(_CALLS_BETWEEN_COUNTS, self._max_callers) == 0:
            (count,) = db.execute("SELECT count(*) FROM callers").fetchone()
            db.execute(
                "DELETE FROM callers WHERE number IN"
                " (SELECT number FROM callers ORDER BY called_at LIMIT ?)",
                (max(0, count - self._max_callers),),
            )


def _window(rate: Rate, stored: bytes, now: float) -> Window:
    counted = _counted.decode(stored)
    # A clock that was set back must not make calls count for longer than they would from now on.
    calls = [[min(when, now), count] for when, count in counted.calls]
    return Window(rate, calls, opened=min(counted.opened, now))
