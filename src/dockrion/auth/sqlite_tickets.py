"""Tickets in a SQLite file: for the processes of one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from time import time
from typing import Any, Final

import msgspec

from dockrion.auth.base import TicketRules
from dockrion.auth.tickets import hash_of, new_ticket, too_many_of_all, too_many_of_one
from dockrion.backends.sqlite import Database
from dockrion.events.identity import Identity

_TABLES: Final = (
    """
    CREATE TABLE IF NOT EXISTS tickets (
        number INTEGER PRIMARY KEY,
        hash BLOB NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        identity BLOB NOT NULL,
        path TEXT NOT NULL,
        ends_at REAL NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS tickets_by_owner ON tickets (kind, owner_id)",
    "CREATE INDEX IF NOT EXISTS tickets_by_end ON tickets (kind, ends_at)",
)
_identity = msgspec.json.Decoder(Identity)


class SqliteTickets:
    """Keeps hashes alone, as memory does: whoever reads the file has no ticket.

    `clock` is the machine's, which all processes share.
    """

    def __init__(
        self, database: Database, rules: TicketRules, *, clock: Callable[[], float] = time
    ) -> None:
        self._database = database
        self._rules = rules
        self._kind = rules.kind
        self._clock = clock
        self._has_tables = False

    async def issue(self, identity: Identity, path: str) -> str:
        ticket = new_ticket()
        await self._write(lambda db: self._insert(db, hash_of(ticket), identity, path))
        return ticket

    async def redeem(self, ticket: str, path: str) -> Identity | None:
        def spend(db: sqlite3.Connection) -> Identity | None:
            hashed = hash_of(ticket)
            found = self._find(db, hashed, path)
            db.execute("DELETE FROM tickets WHERE hash = ? AND kind = ?", (hashed, self._kind))
            return found

        return await self._write(spend)

    async def find(self, ticket: str, path: str) -> Identity | None:
        await self._make_tables()
        return await self._database.read(lambda db: self._find(db, hash_of(ticket), path))

    def _insert(self, db: sqlite3.Connection, hashed: bytes, identity: Identity, path: str) -> None:
        kind, now = self._kind, self._clock()
        db.execute("DELETE FROM tickets WHERE kind = ? AND ends_at <= ?", (kind, now))
        self._make_room(db, identity)
        db.execute(
            "INSERT INTO tickets (hash, kind, owner_id, identity, path, ends_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                hashed,
                kind,
                identity.id,
                msgspec.json.encode(identity),
                path,
                now + self._rules.seconds,
            ),
        )

    def _make_room(self, db: sqlite3.Connection, identity: Identity) -> None:
        rules = self._rules
        of_one, oldest_of_one = db.execute(
            "SELECT count(*), min(number) FROM tickets WHERE kind = ? AND owner_id = ?",
            (self._kind, identity.id),
        ).fetchone()
        of_all, oldest = db.execute(
            "SELECT count(*), min(number) FROM tickets WHERE kind = ?", (self._kind,)
        ).fetchone()
        if of_one >= rules.max_of_one:
            if not rules.replaces:
                raise too_many_of_one(of_one)
            oldest = oldest_of_one
        elif of_all < rules.max_of_all:
            return
        elif not rules.replaces:
            raise too_many_of_all()
        db.execute("DELETE FROM tickets WHERE number = ?", (oldest,))

    def _find(self, db: sqlite3.Connection, hashed: bytes, path: str) -> Identity | None:
        found = db.execute(
            "SELECT identity, path, ends_at FROM tickets WHERE hash = ? AND kind = ?",
            (hashed, self._kind),
        ).fetchone()
        if found is None:
            return None
        identity, good_for, ends_at = found
        is_good = good_for == path and self._clock() < ends_at
        return _identity.decode(identity) if is_good else None

    async def _write(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        await self._make_tables()
        return await self._database.write(work)

    async def _make_tables(self) -> None:
        if not self._has_tables:
            await self._database.make(_TABLES)
            self._has_tables = True
