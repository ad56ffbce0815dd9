"""Tickets in memory, for one process, and what all stores of tickets have in common."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import Final, NamedTuple

from dockrion.errors import OverloadedError, RateLimitError
from dockrion.events.identity import Identity

_BYTES: Final = 32
MAX_OF_ONE: Final = 1000
MAX_OF_ALL: Final = 20_000


class _Ticket(NamedTuple):
    identity: Identity
    path: str
    ends_at: float


class MemoryTickets:
    """Keeps hashes alone: what is looked up is then nothing that a caller can steer, and nothing that opens a path."""

    def __init__(
        self,
        *,
        seconds: float,
        max_of_one: int = MAX_OF_ONE,
        max_of_all: int = MAX_OF_ALL,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._seconds = seconds
        self._max_of_one = max_of_one
        self._max_of_all = max_of_all
        self._clock = clock
        # In the order of their ends.
        self._tickets: dict[bytes, _Ticket] = {}
        self._of_one: defaultdict[str, int] = defaultdict(int)

    async def issue(self, identity: Identity, path: str) -> str:
        now = self._clock()
        self._forget_old(now)
        if self._of_one.get(identity.id, 0) >= self._max_of_one:
            raise too_many_of_one(self._max_of_one)
        if len(self._tickets) >= self._max_of_all:
            raise too_many_of_all()
        ticket = new_ticket()
        self._tickets[hash_of(ticket)] = _Ticket(identity, path, now + self._seconds)
        self._of_one[identity.id] += 1
        return ticket

    async def redeem(self, ticket: str, path: str) -> Identity | None:
        hashed = hash_of(ticket)
        found = self._tickets.get(hashed)
        if found is None:
            return None
        self._forget(hashed, found)
        return self._good_for(found, path)

    async def find(self, ticket: str, path: str) -> Identity | None:
        found = self._tickets.get(hash_of(ticket))
        return None if found is None else self._good_for(found, path)

    def _good_for(self, ticket: _Ticket, path: str) -> Identity | None:
        is_good = ticket.path == path and self._clock() < ticket.ends_at
        return ticket.identity if is_good else None

    def _forget_old(self, now: float) -> None:
        while self._tickets:
            hashed, oldest = next(iter(self._tickets.items()))
            if oldest.ends_at > now:
                return
            self._forget(hashed, oldest)

    def _forget(self, hashed: bytes, ticket: _Ticket) -> None:
        del self._tickets[hashed]
        owner = ticket.identity.id
        self._of_one[owner] -= 1
        if not self._of_one[owner]:
            del self._of_one[owner]


def new_ticket() -> str:
    return secrets.token_urlsafe(_BYTES)


def too_many_of_one(most: int) -> RateLimitError:
    return RateLimitError(f"{most} tickets are out already; use those, or wait.")


def too_many_of_all() -> OverloadedError:
    return OverloadedError("Too many tickets are out; try again later.")


def hash_of(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "surrogatepass")).digest()
