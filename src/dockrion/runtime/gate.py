"""The gate of an app: who calls, and whether they may. Before anything of a request's body is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal
from urllib.parse import parse_qs

import msgspec

from dockrion.auth import make_authenticator
from dockrion.auth.base import Authenticator, MakeTickets, TicketRules, TicketStore
from dockrion.auth.roles import Roles, demand
from dockrion.errors import AuthError
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.runs.store.base import MAX_WAIT_SECONDS
from dockrion.runtime.asgi import Scope, path_of
from dockrion.runtime.responses import Header
from dockrion.spec import DockSpec
from dockrion.spec.auth import AuthSpec

TICKET_SECONDS: Final = 60
INVOKE: Final = "invoke"
# What `auth.protect` may close, and the permission that opens it again; with None any known caller may.
PROTECTABLE: Final[Mapping[str, str | None]] = {
    "metrics": "view_metrics",
    "docs": "read_docs",
    "info": None,
    "schema": None,
}
_COOKIE: Final = "dockrion-pass"


class Tickets(msgspec.Struct, frozen=True):
    """`once` are those of `POST /auth/ticket`; `passes` what their first use leaves in a cookie, for reconnects.

    `headers` are those that credentials come in: whoever sends one of them does not call with a pass.
    """

    once: TicketStore
    passes: TicketStore
    pass_seconds: float
    headers: frozenset[bytes] = frozenset()


class Gate:
    """One for each app. `start` comes before the first call, or with it; `close` after the last.

    `make` makes the authenticator: at once, so that a key that is not set stops the start, and anew when a closed
    gate is started again. Without `make` everybody may call.
    """

    def __init__(
        self,
        make: Callable[[], Authenticator] | None = None,
        *,
        roles: Roles | None = None,
        protect: tuple[str, ...] = (),
        tickets: Tickets | None = None,
        challenge: str = "Bearer",
        headers: Iterable[str] = (),
    ) -> None:
        """`headers` are those that credentials come in."""
        self.is_open: Final = make is None
        self._headers = frozenset(name.lower().encode() for name in headers)
        self.tickets: Final = tickets
        self._make = make
        self._authenticator = None if make is None else make()
        self._starting: asyncio.Future[None] | None = None
        self._is_ready = False
        self._roles = roles or Roles()
        self._protected = frozenset(protect)
        self._challenge = challenge

    async def start(self) -> None:
        if self._make is None:
            return
        if self._authenticator is None:
            self._authenticator = self._make()
        if self._starting is None:
            # The gate's own; `close` cancels it.
            self._starting = asyncio.ensure_future(self._authenticator.start())
            self._starting.add_done_callback(self._started)
        # One caller who goes away does not stop it for the others.
        await asyncio.shield(self._starting)

    def _started(self, starting: asyncio.Future[None]) -> None:
        failed = starting.cancelled() or starting.exception() is not None
        if self._starting is not starting:
            return
        self._is_ready = not failed
        if failed:
            # The next call tries again.
            self._starting = None

    async def close(self) -> None:
        authenticator, self._authenticator = self._authenticator, None
        starting, self._starting = self._starting, None
        self._is_ready = False
        if starting is not None and starting.cancel():
            await asyncio.wait({starting})
        if authenticator is not None:
            await authenticator.close()

    async def identify(self, scope: Scope) -> Identity:
        """Return who wants to run the agent, or to look at a run.

        Raises `AuthError`, `PermissionDeniedError`, or `ServiceUnavailableError`.
        """
        if self.is_open:
            return ANONYMOUS
        return self._may_run(await self._caller(scope))

    async def identify_reader(self, scope: Scope) -> tuple[Identity, Header | None]:
        """`identify`, for the one path that browsers come back to by themselves: a run's events.

        The header, if any, belongs into the answer. It sets a cookie, which is good for this path alone: a browser
        that reconnects sends the same ticket once more, and it is spent.
        """
        if self.is_open:
            return ANONYMOUS, None
        tickets = self.tickets
        if tickets is None:
            return await self.identify(scope), None
        path, ticket = path_of(scope), _ticket_of(scope)
        if ticket is not None:
            by_ticket = await tickets.once.redeem(ticket, path)
            if by_ticket is not None:
                identity = self._may_run(by_ticket)
                value = await tickets.passes.issue(identity, path)
                return identity, _cookie(value, tickets, scope)
        elif _has_any(scope, tickets.headers):
            return await self.identify(scope), None
        given = _pass_of(scope)
        known = None if given is None else await tickets.passes.find(given, path)
        if known is not None:
            return self._may_run(known), None
        if ticket is not None:
            raise self._invalid_ticket()
        return await self.identify(scope), None

    def way_of(self, scope: Scope) -> Literal["ticket", "headers", "pass"] | None:
        """Return by what a request would be known; None where it brings nothing that says who calls."""
        if self.tickets is not None and _ticket_of(scope) is not None:
            return "ticket"
        if _has_any(scope, self._headers):
            return "headers"
        return None if self.tickets is None or _pass_of(scope) is None else "pass"

    async def guard(self, part: str, scope: Scope) -> None:
        """Let a request to a part of `PROTECTABLE` pass if the Dockfile leaves it open, or its caller may see it."""
        if self.is_open or part not in self._protected:
            return
        identity = await self._caller(scope)
        permission = PROTECTABLE[part]
        if permission is not None:
            demand(identity, permission)

    async def authenticate(self, scope: Scope) -> Identity:
        """Return who sends these headers; a ticket does not count."""
        if not self._is_ready:
            await self.start()
        authenticator = self._authenticator
        assert authenticator is not None, "there is one in a gate that is not open"
        try:
            return self._roles.granted(await authenticator.authenticate(scope["headers"]))
        except AuthError as exc:
            exc.challenge = self._challenge
            raise

    async def _caller(self, scope: Scope) -> Identity:
        ticket = None if self.tickets is None else _ticket_of(scope)
        if ticket is None or self.tickets is None:
            return await self.authenticate(scope)
        identity = await self.tickets.once.redeem(ticket, path_of(scope))
        if identity is None:
            raise self._invalid_ticket()
        return identity

    def _invalid_ticket(self) -> AuthError:
        refusal = AuthError("Invalid ticket")
        refusal.challenge = self._challenge
        return refusal

    def _may_run(self, identity: Identity) -> Identity:
        if self._roles:
            demand(identity, INVOKE)
        return identity


OPEN: Final = Gate()


def build_gate(spec: DockSpec, *, make_tickets: MakeTickets | None) -> Gate:
    """Return the gate that the Dockfile asks for; raise `ValidationError` for a key that is not set, and the like.

    Without `make_tickets` there are no tickets.
    """
    auth = spec.auth
    if auth is None or auth.is_open:
        return OPEN
    return Gate(
        partial(make_authenticator, auth, spec.environ),
        roles=Roles(auth.roles),
        protect=auth.protect,
        tickets=None if make_tickets is None else _tickets(spec, auth, make_tickets),
        challenge=_challenge(auth, spec.agent.name),
        headers=auth.headers,
    )


def _tickets(spec: DockSpec, auth: AuthSpec, make: MakeTickets) -> Tickets:
    streaming = spec.streaming
    # Hardly a run is there for longer; and what a pass opens is gone with its run.
    longest = (
        MAX_WAIT_SECONDS + streaming.events.max_run_duration + streaming.kept.stream_ttl_seconds
    )
    return Tickets(
        make(TicketRules(kind="ticket", seconds=TICKET_SECONDS)),
        make(TicketRules(kind="pass", seconds=longest, replaces=True)),
        longest,
        frozenset(name.lower().encode() for name in auth.headers),
    )


def _challenge(auth: AuthSpec, realm: str) -> str:
    schemes = ["ApiKey"] if auth.mode == "api_key" else []
    schemes += ["Bearer"] if auth.bearer else []
    return ", ".join(f'{scheme} realm="{realm}"' for scheme in schemes)


def _has_any(scope: Scope, names: Iterable[bytes]) -> bool:
    return any(name in names for name, _ in scope["headers"])


def _ticket_of(scope: Scope) -> str | None:
    query: bytes = scope.get("query_string", b"")
    if b"ticket=" not in query:
        return None
    found = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("ticket")
    if found is None:
        return None
    # Two tickets are none: it would be luck which one counts.
    return found[0] if len(found) == 1 else ""


def _pass_of(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"cookie" and _COOKIE.encode() in value:
            try:
                morsel = SimpleCookie(value.decode("latin-1")).get(_COOKIE)
            except CookieError:
                continue
            if morsel is not None:
                return morsel.value
    return None


def _cookie(value: str, tickets: Tickets, scope: Scope) -> Header:
    cookie = SimpleCookie()
    cookie[_COOKIE] = value
    morsel = cookie[_COOKIE]
    # As the browser knows it: with the prefix that a proxy may have taken off.
    morsel["path"] = scope["path"]
    morsel["max-age"] = int(tickets.pass_seconds)
    morsel["httponly"] = True
    morsel["samesite"] = "Strict"
    morsel["secure"] = scope.get("scheme") in ("https", "wss")
    return b"set-cookie", morsel.OutputString().encode("latin-1")
