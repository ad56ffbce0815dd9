"""`streaming.backend: redis`: all is in one Redis, for any number of machines."""

from __future__ import annotations

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import RateLimiter
from dockrion.auth.redis_rates import RedisRateLimiter
from dockrion.auth.redis_tickets import RedisTickets
from dockrion.backends.redis import RedisConnections
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.dispatch.docket import DocketDispatcher
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runs.store.redis import RedisStore, prefix_of


class RedisBackend:
    """Apps of one name share what they keep; those of other names may use the same Redis."""

    is_shared = True

    def __init__(self, url: str, *, agent_name: str, pool_size: int) -> None:
        self._prefix = prefix_of(agent_name)
        self._redis = RedisConnections(url, pool_size=pool_size)

    async def open(self) -> None:
        await self._redis.open()

    async def close(self) -> None:
        await self._redis.close()

    async def check(self) -> None:
        await self._redis.check()

    def runs(self, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
        store = RedisStore(self._redis, rules, prefix=self._prefix)
        return store, DocketDispatcher(self._redis, prefix=self._prefix)

    def tickets(self, rules: TicketRules) -> TicketStore:
        return RedisTickets(self._redis, rules, prefix=self._prefix)

    def rates(self) -> RateLimiter:
        return RedisRateLimiter(self._redis, prefix=self._prefix)
