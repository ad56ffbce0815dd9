"""Tickets in memory, for one process, and what all stores of tickets have in common."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable
from hashlib import sha256
from time import monotonic
from typing import Final, NamedTuple

from dockrion.auth.base import TicketRules
from dockrion.errors import OverloadedError, RateLimitError
from dockrion.events.identity import Identity

_BYTES: Final = 32


class _Ticket(NamedTuple):
    identity: Identity
    path: str
    ends_at: float


class MemoryTickets:
    """Keeps hashes alone: what is looked up is then nothing that a caller can steer, and nothing that opens a path."""

    def __init__(self, rules: TicketRules, *, clock: Callable[[], float] = monotonic) -> None:
        self._rules = rules
        self._clock = clock
        # In the order of their ends.
        self._tickets: dict[bytes, _Ticket] = {}
        self._of_one: defaultdict[str, dict[bytes, None]] = defaultdict(dict)

    async def issue(self, identity: Identity, path: str) -> str:
        now = self._clock()
        self._forget_old(now)
        self._make_room(identity)
        ticket = new_ticket()
        hashed = hash_of(ticket)
        self._tickets[hashed] = _Ticket(identity, path, now + self._rules.seconds)
        self._of_one[identity.id][hashed] = None
        return ticket

    def _make_room(self, identity: Identity) -> None:
        rules = self._rules
        own = self._of_one.get(identity.id, {})
        if len(own) >= rules.max_of_one:
            if not rules.replaces:
                raise too_many_of_one(len(own))
            self._forget(next(iter(own)))
        elif len(self._tickets) >= rules.max_of_all:
            if not rules.replaces:
                raise too_many_of_all()
            self._forget(next(iter(self._tickets)))

    async def redeem(self, ticket: str, path: str) -> Identity | None:
        hashed = hash_of(ticket)
        found = self._tickets.get(hashed)
        if found is None:
            return None
        self._forget(hashed)
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
            self._forget(hashed)

    def _forget(self, hashed: bytes) -> None:
        owner = self._tickets.pop(hashed).identity.id
        own = self._of_one[owner]
        del own[hashed]
        if not own:
            del self._of_one[owner]


def new_ticket() -> str:
    return secrets.token_urlsafe(_BYTES)


def too_many_of_one(count: int) -> RateLimitError:
    return RateLimitError(f"{count} tickets are out already; use those, or wait.")


def too_many_of_all() -> OverloadedError:
    return OverloadedError("Too many tickets are out; try again later.")


def hash_of(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "surrogatepass")).digest()
