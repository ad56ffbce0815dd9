"""A signed token in its compact form (RFC 7515), before and after its signature is known to be right.

The cryptography is PyJWT's; its own decoder is not used because it looks at each character of the token in
Python, twice with `kid`, which costs more than the signature, and more still for a token that is made long.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from typing import Any, Final, NamedTuple

import msgspec

from dockrion.auth.bearer import MAX_TOKEN_BYTES
from dockrion.errors import AuthError

# No padding, no other alphabet, no fourth part: one token is one sequence of bytes.
_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])


class Token(NamedTuple):
    """What is needed to check the signature; nothing in it is proven."""

    algorithm: str
    kid: str | None
    signed: bytes
    payload: bytes
    signature: bytes

    def claims(self) -> dict[str, Any]:
        """Return what is signed; of use only once the signature is known to be right."""
        return _json_object(self.payload)


def read_token(text: bytes, algorithms: Collection[str]) -> Token:
    """Take a token apart; raise `AuthError` unless its header names one of the algorithms.

    Of the header only `alg` and `kid` count: a key, or the address of one, that a token brings along is not looked at.
    """
    if len(text) > MAX_TOKEN_BYTES:
        raise refused(f"it is longer than {MAX_TOKEN_BYTES} bytes")
    parts = _COMPACT.fullmatch(text)
    if parts is None:
        raise refused("it is malformed")
    head, payload, signature = parts.groups()
    header = _json_object(head)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise refused("its algorithm is not accepted")
    # Extensions of RFC 7515, section 4.1.11, and RFC 7797: they change what is signed, and none is known here.
    if "crit" in header or "b64" in header:
        raise refused("its header asks for what is not supported")
    if kid is not None and not isinstance(kid, str):
        raise refused("it is malformed")
    return Token(algorithm, kid, text[: parts.end(2)], payload, _bytes(signature))


def refused(reason: str) -> AuthError:
    return AuthError(f"JWT validation failed: {reason}")


def _json_object(segment: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.decode(_bytes(segment))
    except (msgspec.MsgspecError, RecursionError):
        raise refused("it is malformed") from None


def _bytes(segment: bytes) -> bytes:
    try:
        found = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError:
        raise refused("it is malformed") from None
    # The last character may have bits to spare; then several texts would be the same token.
    if urlsafe_b64encode(found).rstrip(b"=") != segment:
        raise refused("it is malformed")
    return found
