"""`streaming.backend: sqlite`: all is in one file, for the processes of this machine."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import RateLimiter
from dockrion.auth.sqlite_rates import SqliteRateLimiter
from dockrion.auth.sqlite_tickets import SqliteTickets
from dockrion.backends.sqlite import Database
from dockrion.errors import ValidationError
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runs.store.sqlite import SqliteStore


class SqliteBackend:
    """A file belongs to the agent that opens it first: the workers of another one would execute its runs."""

    is_shared = True

    def __init__(self, path: Path, *, agent_name: str) -> None:
        self._path = path
        self._agent_name = agent_name
        self._database = Database(path)

    async def open(self) -> None:
        await self._database.open()
        try:
            belongs_to = await self._database.write(self._take)
            if belongs_to != self._agent_name:
                raise ValidationError(
                    f"streaming.sqlite.path: {str(self._path)!r} holds the runs of the agent {belongs_to!r};"
                    f" name another file for {self._agent_name!r}"
                )
        except BaseException:
            await self._database.close()
            raise

    def _take(self, db: sqlite3.Connection) -> str:
        """Return whose the file is; what has no owner yet is ours from now on."""
        db.execute("CREATE TABLE IF NOT EXISTS agents (name TEXT NOT NULL)")
        db.execute(
            "INSERT INTO agents SELECT ? WHERE NOT EXISTS (SELECT 1 FROM agents)",
            (self._agent_name,),
        )
        return db.execute("SELECT name FROM agents").fetchone()[0]

    async def close(self) -> None:
        await self._database.close()

    async def check(self) -> None:
        await self._database.check()

    def runs(self, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
        store = SqliteStore(self._database, rules)
        return store, LocalDispatcher(store)

    def tickets(self, rules: TicketRules) -> TicketStore:
        return SqliteTickets(self._database, rules)

    def rates(self) -> RateLimiter:
        return SqliteRateLimiter(self._database)
