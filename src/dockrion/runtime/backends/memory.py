"""`streaming.backend: memory`: all is in this process."""

from __future__ import annotations

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import MemoryRateLimiter, RateLimiter
from dockrion.auth.tickets import MemoryTickets
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.dispatch.local import LocalDispatcher
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runs.store.memory import MemoryStore


class MemoryBackend:
    is_shared = False

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def check(self) -> None:
        pass

    def runs(self, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
        store = MemoryStore(rules)
        return store, LocalDispatcher(store)

    def tickets(self, rules: TicketRules) -> TicketStore:
        return MemoryTickets(rules)

    def rates(self) -> RateLimiter:
        return MemoryRateLimiter()
