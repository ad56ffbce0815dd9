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
    in for want of an answer. A credential that comes twice is refused. `start` runs once, before the first call,
    and does not wait for another host; `close` once, after the last.
    """

    async def start(self) -> None: ...

    async def authenticate(self, headers: Headers) -> Identity: ...

    async def close(self) -> None: ...
