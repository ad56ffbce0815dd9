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
    scheme, _, token = sent[0].strip(b" \t").partition(b" ")
    token = token.lstrip(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise AuthError(REQUIRED)
    return token
