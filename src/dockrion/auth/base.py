"""The seam of authentication: from the headers of a request to who calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import msgspec

from dockrion.events.identity import Identity

# As ASGI has them: lower-case names, in the order they came in, a repeated one several times.
Headers = Sequence[tuple[bytes, bytes]]


class Authenticator(Protocol):
    """Proves who calls. One for each app, on its event loop; made from its section of the Dockfile.

    `authenticate` returns the identity, with its roles and its own permissions, or raises `AuthError` (401; the
    message names no expected value and nothing of what was sent), `PermissionDeniedError` (403), or
    `ServiceUnavailableError` when whoever knows the answer cannot be reached within 5 s. It never lets anybody
    in for want of an answer. A credential that comes twice is refused. `start` runs before the first call,
    once, or again where it raised, and does not wait for another host; `close` once, after the last call, also of
    one that was never started. What has to be closed is not made before `start`.
    """

    async def start(self) -> None: ...

    async def authenticate(self, headers: Headers) -> Identity: ...

    async def close(self) -> None: ...


class TicketRules(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` keeps the tickets of one store apart from others of the same backend.

    Where there are too many, of one identity or of all, the oldest makes room if `replaces`; else no more are issued.
    """

    kind: str
    seconds: float
    replaces: bool = False
    max_of_one: int = 1000
    max_of_all: int = 20_000


class TicketStore(Protocol):
    """Random texts that stand for an identity on one path, for the time that the store's rules say.

    `issue` returns a new one; unless the rules replace old ones it raises `RateLimitError` when the identity has too
    many, `OverloadedError` when all have. `redeem` returns whose it is and spends it, also when the path is another;
    `find` leaves it. Both return None for one that is unknown, spent, too old, replaced, or for another path. Where the
    tickets are somewhere else and cannot be reached, all raise `ServiceUnavailableError`.
    """

    async def issue(self, identity: Identity, path: str) -> str: ...

    async def redeem(self, ticket: str, path: str) -> Identity | None: ...

    async def find(self, ticket: str, path: str) -> Identity | None: ...


# Makes the stores of an app, each with its rules: in memory, or in the backend that its processes share.
MakeTickets: TypeAlias = Callable[[TicketRules], TicketStore]
