"""Letting a call in, or not yet: `auth.rate_limits` where requests come in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dockrion.auth.addresses import ClientAddresses
from dockrion.auth.rates import Rate, RateLimiter, RateTable, Verdict
from dockrion.errors import RateLimitError
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.runtime.asgi import Scope
from dockrion.runtime.requests import AnswerHeaders, Request
from dockrion.spec import DockSpec


class CallRates:
    """Counts the calls that start or resume a run, before anything is read or run for them."""

    def __init__(self, table: RateTable, addresses: ClientAddresses, limiter: RateLimiter) -> None:
        self._table: Final = table
        self._addresses: Final = addresses
        self._limiter: Final = limiter

    async def admit(self, identity: Identity, request: Request) -> None:
        """Count a call, and give its answer the `RateLimit-*` headers; raise `RateLimitError` where it is one too many."""
        rate = self._table.of(identity.roles)
        if rate is None:
            return
        verdict = await self._limiter.hit(self._key(identity, request.scope), rate)
        request.answer_headers = _headers(rate, verdict)
        if not verdict.allowed:
            seconds = verdict.reset_seconds
            raise RateLimitError(
                f"Too many calls: {_words(rate)}. Try again in {seconds} s.", retry_after=seconds
            )

    def _key(self, identity: Identity, scope: Scope) -> str:
        if identity.auth_method != ANONYMOUS.auth_method:
            return f"identity {identity.id}"
        client = scope.get("client")
        return f"address {self._addresses.caller(client[0] if client else None, scope['headers'])}"


def call_rates(spec: DockSpec, make_limiter: Callable[[], RateLimiter]) -> CallRates | None:
    """Return None where nobody is limited."""
    auth = spec.auth
    if auth is None or not auth.rate_limits:
        return None
    return CallRates(
        RateTable(auth.rate_limits), ClientAddresses(auth.trusted_proxies), make_limiter()
    )


def _headers(rate: Rate, verdict: Verdict) -> AnswerHeaders:
    return (
        (b"ratelimit-limit", b"%d" % rate.calls),
        (b"ratelimit-remaining", b"%d" % verdict.remaining),
        (b"ratelimit-reset", b"%d" % verdict.reset_seconds),
    )


def _words(rate: Rate) -> str:
    unit = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}[rate.seconds]
    return f"{rate.calls} per {unit} are allowed"
