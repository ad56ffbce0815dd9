"""`auth.mode: oauth2`: tokens that only their issuer can read; it is asked about each (RFC 7662)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote_plus

import msgspec

from dockrion.auth.base import Headers
from dockrion.auth.bearer import MAX_TOKEN_BYTES, bearer_token
from dockrion.auth.claims import complaint_of_times, identity_from, time_claim
from dockrion.auth.endpoint import Endpoint, NoAnswerError
from dockrion.errors import (
    AuthError,
    PermissionDeniedError,
    ServiceUnavailableError,
    ValidationError,
)
from dockrion.events.identity import Identity
from dockrion.spec.auth import ClaimsSpec, OAuth2Spec

logger = logging.getLogger(__name__)

# RFC 6750, section 2.1. Whatever else is sent is no token, and nobody is asked about it.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
_CLAIMS: Final = ClaimsSpec()
# A token is not asked about again and again because somebody goes on sending it.
REFUSED_SECONDS: Final = 5.0
# Of tokens that were made up there may be many; they do not push out those that are good.
MAX_KEPT: Final = 10_000
# The issuer has looked at `nbf` and `iat` itself, by its own clock.
_CLOCKS_DIFFER_SECONDS: Final = 30.0


class Known(NamedTuple):
    """What is kept of an answer; without an identity, the token is not active."""

    identity: Identity | None
    expires: float
    until: float


class Kept:
    """Answers by the hash of their token, the latest `MAX_KEPT` of them."""

    def __init__(self) -> None:
        self._answers: OrderedDict[bytes, Known] = OrderedDict()

    def get(self, token: bytes, *, at: float) -> Known | None:
        known = self._answers.get(token)
        if known is None:
            return None
        if at >= known.until:
            del self._answers[token]
            return None
        self._answers.move_to_end(token)
        return known

    def put(self, token: bytes, known: Known) -> None:
        self._answers[token] = known
        self._answers.move_to_end(token)
        if len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)


class OAuth2Authenticator:
    """Callers who send the same token at once wait for one answer. Tokens themselves are not kept."""

    def __init__(
        self,
        spec: OAuth2Spec,
        environ: Mapping[str, str],
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        endpoint: Endpoint | None = None,
    ) -> None:
        self._spec = spec
        self._now = now
        self._clock = clock
        self._form, self._headers = credentials(spec, environ)
        self._endpoint = endpoint or Endpoint(
            spec.introspection_url, field="auth.oauth2.introspection_url"
        )
        self._active = Kept()
        self._refused = Kept()
        self._asked: dict[bytes, asyncio.Task[Known]] = {}

    async def start(self) -> None:
        self._endpoint.start()

    async def authenticate(self, headers: Headers) -> Identity:
        token = bearer_token(headers)
        if len(token) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise AuthError("Invalid token")
        digest = hashlib.sha256(token).digest()
        at = self._clock()
        known = self._active.get(digest, at=at) or self._refused.get(digest, at=at)
        if known is None:
            known = await self._ask(digest, token)
        identity = known.identity
        if identity is None or self._now() >= known.expires:
            raise AuthError("Invalid token")
        if not set(self._spec.required_scopes).issubset(identity.scopes):
            raise PermissionDeniedError("The token lacks a scope that is required")
        return identity

    async def close(self) -> None:
        asked = set(self._asked.values())
        for task in asked:
            task.cancel()
        if asked:
            await asyncio.wait(asked)
        await self._endpoint.close()

    async def _ask(self, digest: bytes, token: bytes) -> Known:
        task = self._asked.get(digest)
        if task is None:
            # The authenticator's own, however many callers wait; `close` cancels it.
            task = asyncio.get_running_loop().create_task(self._introspect(digest, token))
            self._asked[digest] = task
            task.add_done_callback(lambda done: self._answered(digest, done))
        try:
            # A caller who goes away does not take the answer from the others.
            return await asyncio.shield(task)
        except NoAnswerError:
            raise ServiceUnavailableError("The token cannot be checked now; try again") from None

    def _answered(self, digest: bytes, task: asyncio.Task[Known]) -> None:
        del self._asked[digest]
        # All who waited for it may have gone.
        if not task.cancelled():
            task.exception()

    async def _introspect(self, digest: bytes, token: bytes) -> Known:
        try:
            answer = await self._endpoint.post(
                {"token": token.decode(), "token_type_hint": "access_token", **self._form},
                headers=self._headers,
            )
            known = self._understood(answer, digest)
        except NoAnswerError as exc:
            logger.warning("token not introspected", extra={"reason": str(exc)})
            raise
        (self._refused if known.identity is None else self._active).put(digest, known)
        return known

    def _understood(self, answer: object, digest: bytes) -> Known:
        if not isinstance(answer, dict):
            raise NoAnswerError("the answer is not an object")
        claims = cast("dict[str, Any]", answer)
        # Whatever is not exactly true is not a yes.
        if claims.get("active") is not True or self._is_not_now(claims):
            return Known(None, float("inf"), self._clock() + REFUSED_SECONDS)
        identity = identity_from(
            claims, _CLAIMS, auth_method="oauth2", without_user_id=f"token:{digest.hex()[:32]}"
        )
        expires = time_claim(claims, "exp")
        return Known(
            _with_name(identity, claims.get("username")),
            float("inf") if expires is None else expires,
            self._clock() + self._spec.cache_seconds,
        )

    def _is_not_now(self, claims: Mapping[str, Any]) -> bool:
        expires = time_claim(claims, "exp")
        if expires is not None and self._now() >= expires:
            return True
        return (
            complaint_of_times(claims, now=self._now(), leeway=_CLOCKS_DIFFER_SECONDS) is not None
        )


def _with_name(identity: Identity, username: object) -> Identity:
    if identity.name is not None or not isinstance(username, str):
        return identity
    return msgspec.structs.replace(identity, name=username)


def credentials(
    spec: OAuth2Spec, environ: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form fields and headers that say who asks (RFC 6749, section 2.3.1)."""

    def value_of(field: str, variable: str | None) -> str | None:
        if variable is None:
            return None
        value = environ.get(variable)
        if not value:
            raise ValidationError(f"auth.oauth2.{field}: the variable {variable} is not set")
        return value

    client_id = value_of("client_id_env", spec.client_id_env)
    secret = value_of("client_secret_env", spec.client_secret_env)
    if client_id is None:
        if secret is not None:
            raise ValidationError(
                "auth.oauth2.client_secret_env: needs client_id_env; a secret alone names nobody"
            )
        return {}, {}
    if secret is None:
        return {"client_id": client_id}, {}
    login = f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()
    return {}, {"Authorization": f"Basic {b64encode(login).decode()}"}
