"""`auth.mode: jwt`: signed tokens (RFC 7519), proven by a key in a variable or by the issuer's published ones."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dockrion.auth.base import Headers
from dockrion.auth.bearer import bearer_token
from dockrion.auth.claims import complaint_of_parties, complaint_of_times, identity_from
from dockrion.auth.endpoint import Endpoint
from dockrion.auth.jwks import Jwks
from dockrion.auth.jws import Token, read_token, refused
from dockrion.auth.jwt_keys import KeySet, Verdict, key_from_variable
from dockrion.events.identity import Identity
from dockrion.spec.auth import JwtSpec


class Keys(Protocol):
    async def start(self) -> None: ...

    async def check(self, token: Token) -> Verdict: ...

    async def close(self) -> None: ...


class OneKey:
    """The key in a variable; what a token says of its key id does not count."""

    def __init__(self, spec: JwtSpec, environ: Mapping[str, str]) -> None:
        variable = spec.public_key_env or ""
        value = environ.get(variable, "")
        self._keys = KeySet((key_from_variable(value, spec.algorithms, variable=variable),))

    async def start(self) -> None: ...

    async def check(self, token: Token) -> Verdict:
        return "proven" if self._keys.check(token) == "proven" else "forged"

    async def close(self) -> None: ...


class JwtAuthenticator:
    """Looks at the claims only once the signature is right. A token without `exp` is refused."""

    def __init__(
        self,
        spec: JwtSpec,
        environ: Mapping[str, str],
        *,
        now: Callable[[], float] = time.time,
        keys: Keys | None = None,
    ) -> None:
        self._spec = spec
        self._algorithms = frozenset(spec.algorithms)
        self._now = now
        self._keys = keys or _keys(spec, environ)

    async def start(self) -> None:
        await self._keys.start()

    async def authenticate(self, headers: Headers) -> Identity:
        token = read_token(bearer_token(headers), self._algorithms)
        match await self._keys.check(token):
            case "proven":
                claims = token.claims()
            case "forged":
                raise refused("its signature is wrong")
            case "unknown":
                raise refused("no key is known for it")
        complaint = self._complaint(claims)
        if complaint is not None:
            raise refused(complaint)
        return identity_from(
            claims,
            self._spec.claims,
            auth_method="jwt",
            # Without the signature, of which one token can have several.
            without_user_id=f"token:{hashlib.sha256(token.signed).hexdigest()[:32]}",
        )

    async def close(self) -> None:
        await self._keys.close()

    def _complaint(self, claims: Mapping[str, Any]) -> str | None:
        if claims.get("exp") is None:
            return "it has no exp, so it would never end"
        spec = self._spec
        return complaint_of_times(
            claims, now=self._now(), leeway=spec.leeway_seconds
        ) or complaint_of_parties(claims, issuer=spec.issuer, audience=spec.audience)


def _keys(spec: JwtSpec, environ: Mapping[str, str]) -> Keys:
    if spec.jwks_url is None:
        return OneKey(spec, environ)
    return Jwks(Endpoint(spec.jwks_url, field="auth.jwt.jwks_url"), spec.algorithms)
