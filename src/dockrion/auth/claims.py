"""What a token says: when it is valid, for whom, and who its bearer is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from dockrion.events.identity import Identity
from dockrion.spec.auth import ClaimsSpec

Claims: TypeAlias = Mapping[str, Any]

EXPIRED: Final = "it has expired"
NOT_YET: Final = "it is not valid yet"
# Far beyond any date; what is larger is no time, and could not be compared with one.
_MAX_TIME: Final = 1e15


def complaint_of_times(claims: Claims, *, now: float, leeway: float) -> str | None:
    """Return why the token is not valid at this time; None when it is. Each of the claims may be missing."""
    for name in ("exp", "nbf", "iat"):
        if claims.get(name) is not None and time_claim(claims, name) is None:
            return f"its {name} is not a time"
    expiry = time_claim(claims, "exp")
    if expiry is not None and now >= expiry + leeway:
        return EXPIRED
    for name in ("nbf", "iat"):
        begin = time_claim(claims, name)
        if begin is not None and begin > now + leeway:
            return NOT_YET
    return None


def time_claim(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # NaN is neither.
    return value if -_MAX_TIME < value < _MAX_TIME else None


def complaint_of_parties(claims: Claims, *, issuer: str | None, audience: str | None) -> str | None:
    """Return what is wrong with who made the token and for whom; what is None is not looked at."""
    if issuer is not None and claims.get("iss") != issuer:
        return "its issuer is missing or wrong"
    if audience is not None:
        named = claims.get("aud")
        if named != audience and not (isinstance(named, list) and audience in named):
            return "its audience is missing or wrong"
    return None


def identity_from(
    claims: Claims, names: ClaimsSpec, *, auth_method: str, without_user_id: str
) -> Identity:
    """Return who the claims tell of; one that is missing or misshapen is none.

    `without_user_id` is the id when they name no user.
    """
    return Identity(
        id=_text(claims, names.user_id) or without_user_id,
        auth_method=auth_method,
        email=_text(claims, names.email),
        name=_text(claims, names.name),
        roles=words(claims, names.roles),
        permissions=words(claims, names.permissions),
        scopes=words(claims, names.scopes),
        tenant_id=_text(claims, names.tenant_id) if names.tenant_id else None,
    )


def words(claims: Claims, path: str) -> tuple[str, ...]:
    """Return a claim that is a list of strings, or a string of words, as both are usual for roles and scopes."""
    value = _claim(claims, path)
    if isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, list):
        items = cast("list[object]", value)
        if all(isinstance(item, str) for item in items):
            return tuple(cast("list[str]", items))
    return ()


def _text(claims: Claims, path: str) -> str | None:
    value = _claim(claims, path)
    return value if isinstance(value, str) and value.strip() else None


def _claim(claims: Claims, path: str) -> object:
    # Providers name claims by URLs, which have dots; so the whole name comes before the path.
    if path in claims:
        return claims[path]
    value: object = claims
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(part)
    return value
