"""`Authorization: Bearer <token>`, and the token in it."""

from __future__ import annotations

from typing import Final

from dockrion.auth.base import Headers
from dockrion.errors import AuthError

REQUIRED: Final = "Bearer token required"
# A token is in every request; those of identity providers have a few kilobytes at most.
MAX_TOKEN_BYTES: Final = 16_384


def bearer_token(headers: Headers) -> bytes:
    """Return the token as it was sent, which may be anything; raise `AuthError` when there is not exactly one."""
    sent = [value for name, value in headers if name == b"authorization"]
    if len(sent) != 1:
        raise AuthError(REQUIRED)
    token = (after_bearer(sent[0]) or b"").lstrip(b" ")
    if not token:
        raise AuthError(REQUIRED)
    return token


def after_bearer(value: bytes) -> bytes | None:
    """Return what follows the scheme in a value of `Authorization`; None where that is not `Bearer`."""
    scheme, _, rest = value.strip(b" \t").partition(b" ")
    return rest if scheme.lower() == b"bearer" else None
