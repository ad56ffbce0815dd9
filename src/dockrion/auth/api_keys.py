"""API keys: from variables of the environment to identities, and from a header to one of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import Final, NamedTuple

from dockrion.auth.base import Headers
from dockrion.auth.bearer import after_bearer
from dockrion.errors import AuthError, ValidationError
from dockrion.events.identity import Identity
from dockrion.spec.auth import ApiKeysSpec, KeySource

logger = logging.getLogger(__name__)

_HASHED: Final = "sha256:"
_HEX: Final = re.compile(r"[0-9a-fA-F]{64}")
_AUTHORIZATION: Final = b"authorization"
_SPACE: Final = b" \t"


class _Key(NamedTuple):
    digest: bytes
    identity: Identity


class ApiKeyAuthenticator:
    """Knows digests alone. A key sent is hashed and compared with all of them, so how long that takes tells nothing."""

    def __init__(self, section: ApiKeysSpec, environ: Mapping[str, str]) -> None:
        # One that only the prefix finds counts when it holds something; those that are listed have to be set.
        sources = section.sources(name for name, value in environ.items() if value.strip())
        self._keys: Final = _keys(section, sources, environ)
        self._variables: Final = [source.variable for source in sources]
        self._header: Final = section.header.lower().encode()
        self._allow_bearer: Final = section.allow_bearer

    async def start(self) -> None:
        logger.info("api keys are read", extra={"variables": self._variables})

    async def authenticate(self, headers: Headers) -> Identity:
        sent = self._sent(headers)
        if not sent:
            raise AuthError("API key required")
        digest = sha256(sent).digest()
        identity = None
        for key in self._keys:
            if compare_digest(key.digest, digest):
                identity = key.identity
        if identity is None:
            raise AuthError("Invalid API key")
        return identity

    async def close(self) -> None:
        return

    def _sent(self, headers: Headers) -> bytes | None:
        """Return the key that was sent; `Authorization` counts only where the key's own header is not there."""
        key = bearer = None
        for name, value in headers:
            if name == self._header:
                if key is not None:
                    raise AuthError("Invalid API key")
                key = value
            elif name == _AUTHORIZATION and self._allow_bearer:
                if bearer is not None:
                    # No matter, where the key's own header is there: which may come yet.
                    value = b""
                bearer = value
        if key is None:
            return None if bearer is None else _of_bearer(bearer)
        if self._header == _AUTHORIZATION and self._allow_bearer:
            return _of_bearer(key) or key.strip(_SPACE)
        return key.strip(_SPACE)


def _of_bearer(value: bytes) -> bytes | None:
    key = after_bearer(value)
    return None if key is None else key.strip(_SPACE)


def _keys(section: ApiKeysSpec, sources: list[KeySource], environ: Mapping[str, str]) -> list[_Key]:
    values = {source.variable: environ.get(source.variable, "").strip() for source in sources}
    unset = [variable for variable, value in values.items() if not value]
    if unset or not sources:
        raise _no_key(section, unset)
    digests: dict[bytes, str] = {}
    names: dict[str, str] = {}
    keys: list[_Key] = []
    for source in sources:
        variable = source.variable
        digest = _digest(values[variable], variable)
        identity = _identity(source, digest)
        for taken, what in (
            (digests.setdefault(digest, variable), "hold the same key"),
            (names.setdefault(identity.id, variable), f"are both called {identity.id!r}"),
        ):
            if taken != variable:
                raise _refused(
                    f"auth.api_keys: {taken} and {variable} {what}; callers could not be told apart"
                )
        keys.append(_Key(digest, identity))
    return keys


def _digest(value: str, variable: str) -> bytes:
    if not value.startswith(_HASHED):
        return sha256(value.encode("utf-8", "surrogateescape")).digest()
    digits = value.removeprefix(_HASHED)
    if not _HEX.fullmatch(digits):
        raise _refused(
            f"auth.api_keys: {variable} starts with `sha256:`, but what follows is not 64 hexadecimal digits"
        )
    return bytes.fromhex(digits)


def _identity(source: KeySource, digest: bytes) -> Identity:
    # Of the digest, so that it stays the same when a key is replaced by its `sha256:` form.
    name = source.name or f"key-{sha256(digest).hexdigest()[:16]}"
    roles = () if source.role is None else (source.role,)
    return Identity(id=name, auth_method="api_key", name=source.name, roles=roles)


def _no_key(section: ApiKeysSpec, unset: list[str]) -> ValidationError:
    if unset:
        return _refused(
            f"auth.api_keys: {', '.join(_each(unset))}; without a key nobody could call"
        )
    if section.prefixes is None:
        return _refused("auth.api_keys.keys: is empty; without a key nobody could call")
    nameless, named = section.prefixes
    looked_for = f"{nameless} or {named}<NAME>" if nameless else f"{named}<NAME>"
    return _refused(
        f"auth.api_keys.prefix: no variable {looked_for} is set; without a key nobody could call"
    )


def _each(unset: list[str]) -> Iterator[str]:
    return (f"{variable} is not set" for variable in unset)


def _refused(message: str) -> ValidationError:
    error = ValidationError(message)
    error.add_note("set it in the shell, in .env beside the Dockfile, or with --env-file")
    return error
