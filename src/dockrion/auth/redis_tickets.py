"""Tickets in Redis: for all replicas."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from dockrion.auth.base import TicketRules
from dockrion.auth.tickets import hash_of, new_ticket, too_many_of_all, too_many_of_one
from dockrion.backends.redis import RedisConnections, Script
from dockrion.backends.redis_lanes import Argument
from dockrion.events.identity import Identity

_SCRIPT: Final = Script((files("dockrion.auth") / "lua" / "tickets.lua").read_text("utf-8"))
_identity: Final = msgspec.json.Decoder(Identity)


class RedisTickets:
    """Keeps hashes alone, as memory does: whoever reads Redis has no ticket. Time is the server's, unless a `clock` is given."""

    def __init__(
        self,
        backend: RedisConnections,
        rules: TicketRules,
        *,
        prefix: str,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._backend = backend
        self._rules = rules
        self._prefix = f"{prefix}tickets:{rules.kind}:"
        self._clock = clock

    async def issue(self, identity: Identity, path: str) -> str:
        ticket, rules = new_ticket(), self._rules
        outcome, *counts = await self._run(
            "issue",
            ticket,
            path,
            rules.seconds,
            rules.max_of_one,
            rules.max_of_all,
            int(rules.replaces),
            sha256(identity.id.encode("utf-8", "surrogatepass")).hexdigest(),
            msgspec.json.encode(identity),
        )
        if outcome == b"one":
            raise too_many_of_one(counts[0])
        if outcome == b"all":
            raise too_many_of_all()
        return ticket

    async def redeem(self, ticket: str, path: str) -> Identity | None:
        return _found(await self._run("redeem", ticket, path))

    async def find(self, ticket: str, path: str) -> Identity | None:
        return _found(await self._run("find", ticket, path))

    async def _run(self, operation: str, ticket: str, path: str, *arguments: Argument) -> Any:
        hashed = hash_of(ticket).hex()
        now = "" if self._clock is None else self._clock()
        return await self._backend.run(
            _SCRIPT,
            (self._prefix + hashed,),
            (operation, self._prefix, now, hashed, path, *arguments),
        )


def _found(identity: bytes | None) -> Identity | None:
    return None if identity is None else _identity.decode(identity)
