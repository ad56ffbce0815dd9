"""The stores of tickets and the rate limiters that the tests run on, by the backend that they keep things in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol
from uuid import uuid4

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import MemoryRateLimiter, RateLimiter
from dockrion.auth.redis_rates import RedisRateLimiter
from dockrion.auth.redis_tickets import RedisTickets
from dockrion.auth.sqlite_rates import SqliteRateLimiter
from dockrion.auth.sqlite_tickets import SqliteTickets
from dockrion.auth.tickets import MemoryTickets
from dockrion.backends.redis import RedisConnections
from dockrion.backends.sqlite import Database
from tests.auth.clock import Clock
from tests.redis_server import lasting_redis


class Shared(Protocol):
    """Makes what is kept in one backend; what it makes twice is the same to callers."""

    def tickets(self, rules: TicketRules, clock: Clock | None = None) -> TicketStore: ...

    def limiter(self, clock: Clock, *, max_callers: int = 100) -> RateLimiter: ...


class _Memory:
    def tickets(self, rules: TicketRules, clock: Clock | None = None) -> TicketStore:
        return MemoryTickets(rules, clock=clock or Clock(100.0))

    def limiter(self, clock: Clock, *, max_callers: int = 100) -> RateLimiter:
        return MemoryRateLimiter(clock=clock, max_callers=max_callers)


class _Sqlite:
    def __init__(self, database: Database) -> None:
        self._database = database

    def tickets(self, rules: TicketRules, clock: Clock | None = None) -> TicketStore:
        return SqliteTickets(self._database, rules, clock=clock or Clock(100.0))

    def limiter(self, clock: Clock, *, max_callers: int = 100) -> RateLimiter:
        return SqliteRateLimiter(self._database, clock=clock, max_callers=max_callers)


@asynccontextmanager
async def memory() -> AsyncGenerator[Shared]:
    yield _Memory()


@asynccontextmanager
async def sqlite() -> AsyncGenerator[Shared]:
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "shared.db")
        await database.open()
        yield _Sqlite(database)
        await database.close()


class _Redis:
    def __init__(self, backend: RedisConnections) -> None:
        self._backend = backend
        self._prefix = f"{uuid4().hex}:"

    def tickets(self, rules: TicketRules, clock: Clock | None = None) -> TicketStore:
        return RedisTickets(self._backend, rules, prefix=self._prefix, clock=clock or Clock(100.0))

    def limiter(self, clock: Clock, *, max_callers: int = 100) -> RateLimiter:
        return RedisRateLimiter(self._backend, prefix=self._prefix, clock=clock)


@asynccontextmanager
async def redis() -> AsyncGenerator[Shared]:
    backend = RedisConnections(lasting_redis().url())
    await backend.open()
    yield _Redis(backend)
    await backend.close()


SHARED: Final[dict[str, Callable[[], Any]]] = {"memory": memory, "sqlite": sqlite, "redis": redis}
