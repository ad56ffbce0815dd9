"""`streaming.backend: sqlite`: all is in one file, for the processes of this machine."""

from __future__ import annotations

from pathlib import Path

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import RateLimiter
from dockrion.auth.sqlite_rates import SqliteRateLimiter
from dockrion.auth.sqlite_tickets import SqliteTickets
from dockrion.backends.sqlite import Database
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runs.store.sqlite import SqliteStore


class SqliteBackend:
    is_shared = True

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

    async def open(self) -> None:
        await self._database.open()

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
