"""A backend that opens at its first use: calls come in as soon as an app serves, and a mounted one has no start."""

from __future__ import annotations

import asyncio
from typing import Final

from dockrion.auth.base import TicketRules, TicketStore
from dockrion.auth.rates import Rate, RateLimiter, Verdict
from dockrion.errors import DockrionError, ServiceUnavailableError
from dockrion.events.identity import Identity
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.store.base import RunStore, StoreRules
from dockrion.runtime.backends.base import Backend

# All that callers are told of a backend that does not open.
UNUSABLE: Final = "The server's backend cannot be used."


class OpeningBackend:
    """`Backend`. Its tickets and rates wait until it is open; its runs are opened by whoever takes them."""

    is_shared = True

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._backend.open())
        # One caller who goes away does not stop it for the others.
        await asyncio.shield(self._opening)

    async def is_open(self) -> None:
        """`open`, for a call, which is not to blame for what is wrong."""
        if self._opening is not None and self._opening.done() and not self._opening.exception():
            return
        try:
            await self.open()
        except DockrionError as exc:
            raise ServiceUnavailableError(UNUSABLE) from exc

    async def close(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
            await asyncio.wait({opening})
            await self._backend.close()

    async def check(self) -> None:
        await self._backend.check()

    def runs(self, rules: StoreRules) -> tuple[RunStore, Dispatcher]:
        return self._backend.runs(rules)

    def tickets(self, rules: TicketRules) -> TicketStore:
        return _Tickets(self, self._backend.tickets(rules))

    def rates(self) -> RateLimiter:
        return _Rates(self, self._backend.rates())


class _Tickets:
    def __init__(self, backend: OpeningBackend, tickets: TicketStore) -> None:
        self._backend = backend
        self._tickets = tickets

    async def issue(self, identity: Identity, path: str) -> str:
        await self._backend.is_open()
        return await self._tickets.issue(identity, path)

    async def redeem(self, ticket: str, path: str) -> Identity | None:
        await self._backend.is_open()
        return await self._tickets.redeem(ticket, path)

    async def find(self, ticket: str, path: str) -> Identity | None:
        await self._backend.is_open()
        return await self._tickets.find(ticket, path)


class _Rates:
    def __init__(self, backend: OpeningBackend, limiter: RateLimiter) -> None:
        self._backend = backend
        self._limiter = limiter

    async def hit(self, key: str, rate: Rate) -> Verdict:
        await self._backend.is_open()
        return await self._limiter.hit(key, rate)
