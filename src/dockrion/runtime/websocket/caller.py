"""Who is at the other end of a WebSocket, and from which pages one may be opened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dockrion.errors import AuthError, PermissionDeniedError
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.runtime.asgi import Scope
from dockrion.runtime.gate import Gate, Header
from dockrion.runtime.requests import shown
from dockrion.runtime.websocket.messages import AuthenticateMessage
from dockrion.spec import DockSpec
from dockrion.spec.expose import CorsSpec

BEARER: Final = "authorization"


class Caller:
    """Asked for anew with each call: what was good when the connection was opened may run out while it is open.

    A ticket, or the cookie that its use leaves, is good for the whole connection.
    """

    def __init__(self, spec: DockSpec, gate: Gate, scope: Scope) -> None:
        auth = spec.auth
        self._key_header = "" if auth is None else auth.api_keys.header
        self._credentials = frozenset(
            name.lower().encode() for name in (() if auth is None else (*auth.headers, BEARER))
        )
        self._gate = gate
        self._scope = scope
        self._fixed: Identity | None = ANONYMOUS if gate.is_open else None
        self.is_known = gate.is_open

    async def introduce(self) -> list[Header]:
        """Look at what came with the handshake; return the headers that belong into its answer.

        What says wrongly who calls raises, as in a request. Where nothing says it, the caller is not known yet.
        """
        gate, scope = self._gate, self._scope
        way = None if self.is_known else gate.way_of(scope)
        if way == "headers":
            await gate.identify(scope)
        elif way is not None:
            try:
                self._fixed, cookie = await gate.identify_reader(scope)
            except PermissionDeniedError:
                raise
            except AuthError:
                if way == "ticket":
                    raise
                # A browser sends an old cookie along whether its page wants that or not.
                return []
            self.is_known = True
            return [] if cookie is None else [cookie]
        self.is_known = self.is_known or way is not None
        return []

    async def authenticate(self, said: AuthenticateMessage) -> None:
        """Take what the caller says of itself from now on; what it was known by stays when this is not good."""
        if self._gate.is_open:
            return
        if said.api_key is not None:
            header = (self._key_header.lower().encode(), said.api_key.encode())
        else:
            header = (BEARER.encode(), b"Bearer " + (said.token or "").encode())
        sent: Any = self._scope["headers"]
        others = [(name, value) for name, value in sent if name not in self._credentials]
        scope = {**self._scope, "headers": [*others, header], "query_string": b""}
        await self._gate.identify(scope)
        self._scope, self._fixed, self.is_known = scope, None, True

    async def identify(self) -> Identity:
        """Return who calls; raises what `Gate.identify` raises."""
        return self._fixed or await self._gate.identify(self._scope)


def check_origin(scope: Scope, cors: CorsSpec) -> Scope:
    """Return what may be looked at of a handshake; raise `PermissionDeniedError` for a page that may not open one.

    Browsers let every page open a WebSocket, and send cookies along. So `expose.cors` is asked here, and a cookie counts only
    for pages of our own, and for those that may read what comes with credentials.
    """
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    if not origins:
        return scope
    origin = origins[0].decode("latin-1")
    if len(origins) == 1 and _is_own(origin, scope["headers"]):
        return scope
    is_listed = len(origins) == 1 and origin in cors.origins
    if is_listed and cors.credentials:
        return scope
    if is_listed or (len(origins) == 1 and "*" in cors.origins):
        others = [header for header in scope["headers"] if header[0] != b"cookie"]
        return {**scope, "headers": others}
    raise PermissionDeniedError(
        f"Origin: pages of {shown(origin)} may not open this (expose.cors.origins)."
    )


def _is_own(origin: str, headers: Iterable[Header]) -> bool:
    host = next((value for name, value in headers if name == b"host"), b"").decode("latin-1")
    return bool(host) and origin.partition("://")[2].lower() == host.lower()
