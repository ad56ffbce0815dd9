"""The seam of authentication: from the headers of a request to who calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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


class TicketStore(Protocol):
    """Random texts that stand for an identity on one path, for a time that the store is made with.

    `issue` returns a new one, and raises `RateLimitError` when the identity has too many, `OverloadedError` when
    all have. `redeem` returns whose it is and spends it, also when the path is another; `find` leaves it.
    Both return None for one that is unknown, spent, too old, or for another path.
    """

    async def issue(self, identity: Identity, path: str) -> str: ...

    async def redeem(self, ticket: str, path: str) -> Identity | None: ...

    async def find(self, ticket: str, path: str) -> Identity | None: ...
