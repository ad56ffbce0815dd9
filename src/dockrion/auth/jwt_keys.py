"""Keys that prove tokens: from a variable or from a JSON Web Key Set (RFC 7517), and which of them fit a token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

from dockrion.auth.jws import Token
from dockrion.errors import ValidationError

Verdict: TypeAlias = Literal["proven", "forged", "unknown"]

# A signature is checked with each key that may have made it, and each check costs time.
MAX_KEYS: Final = 64
MAX_GUESSES: Final = 8
# Numbers beyond it would make each check slow.
_MAX_RSA_BITS: Final = 8192
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
# What PyJWT and cryptography raise for keys that are none.
_NO_KEY: Final = (InvalidKeyError, UnsupportedAlgorithm, TypeError, ValueError)


class Key:
    """One key, made ready for each algorithm that it fits; `fits` is empty for a key of no use."""

    def __init__(self, material: Any, algorithms: Iterable[str], *, kid: str | None = None) -> None:
        self.kid = kid
        known = get_default_algorithms()
        self._ready = {
            name: (known[name], prepared)
            for name in algorithms
            if (prepared := _prepared(known[name], material)) is not None
        }

    @property
    def fits(self) -> frozenset[str]:
        return frozenset(self._ready)

    def proves(self, token: Token) -> bool:
        algorithm, prepared = self._ready[token.algorithm]
        return algorithm.verify(token.signed, prepared, token.signature)


class KeySet:
    """Keys of one issuer."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = tuple(keys)

    def __len__(self) -> int:
        return len(self._keys)

    def check(self, token: Token) -> Verdict:
        """Return `unknown` when a key that is not here might prove the token, so that it is worth looking for it."""
        named = [key for key in self._keys if token.kid is None or key.kid == token.kid]
        candidates = named or [key for key in self._keys if key.kid is None]
        fitting = [key for key in candidates if token.algorithm in key.fits]
        if any(key.proves(token) for key in fitting[:MAX_GUESSES]):
            return "proven"
        return "forged" if named and token.kid is not None else "unknown"


def key_from_variable(value: str, algorithms: Sequence[str], *, variable: str) -> Key:
    """Return the key that stands in a variable; raise `ValidationError`, without its value, when it is none."""

    def wrong(what: str) -> ValidationError:
        return ValidationError(f"auth.jwt.public_key_env: the variable {variable} {what}")

    if not value.strip():
        raise wrong("is not set")
    if algorithms[0].startswith("HS"):
        return _secret(value, algorithms, wrong=wrong)
    pem = value.replace("\\n", "\n").strip().encode()
    if b"PRIVATE KEY-----" in pem:
        raise wrong("holds a private key; the public one is enough, and nobody can sign with it")
    try:
        material = (
            load_pem_x509_certificate(pem).public_key()
            if pem.startswith(b"-----BEGIN CERTIFICATE")
            else load_pem_public_key(pem)
        )
    except _NO_KEY:
        raise wrong("holds no public key in PEM format") from None
    key = Key(material, algorithms)
    if not key.fits:
        raise wrong(
            f"holds a key that fits none of auth.jwt.algorithms ({', '.join(algorithms)}), or is too short"
        )
    return key


def _secret(value: str, algorithms: Sequence[str], *, wrong: Any) -> Key:
    known = get_default_algorithms()
    try:
        known[algorithms[0]].prepare_key(value)
    except InvalidKeyError:
        raise wrong("holds a key that is not secret; HS algorithms need a secret") from None
    key = Key(value, algorithms)
    short = [name for name in algorithms if name not in key.fits]
    if short:
        raise wrong(f"holds a secret too short for {short[-1]}; RFC 7518 asks for {_size(short)}")
    return key


def _size(algorithms: Sequence[str]) -> str:
    return f"{max(int(name[2:]) for name in algorithms) // 8} bytes"


def keys_from_set(data: object, algorithms: Sequence[str]) -> KeySet:
    """Return the keys of a JSON Web Key Set that are of use; what is none of them is passed over."""
    if not isinstance(data, dict):
        return KeySet(())
    listed = cast("dict[str, object]", data).get("keys")
    if not isinstance(listed, list):
        return KeySet(())
    return KeySet(_usable(cast("list[object]", listed)[:MAX_KEYS], algorithms))


def _usable(listed: Iterable[object], algorithms: Sequence[str]) -> Iterator[Key]:
    for item in listed:
        if not isinstance(item, dict):
            continue
        key = _key_from_jwk(cast("dict[str, object]", item), algorithms)
        if key is not None and key.fits:
            yield key


def _key_from_jwk(jwk: Mapping[str, object], algorithms: Sequence[str]) -> Key | None:
    kind, kid, operations = jwk.get("kty"), jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if not isinstance(kind, str) or kind not in _PUBLIC_MEMBERS:
        return None
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list):
        return None
    if "verify" not in operations or not isinstance(kid, str | None):
        return None
    # Its public half, should somebody have published both.
    public: dict[str, Any] = {
        "kty": kind,
        **{name: jwk.get(name) for name in _PUBLIC_MEMBERS[kind]},
    }
    maker = get_default_algorithms()["RS256" if kind == "RSA" else "ES256"]
    try:
        material = maker.from_jwk(public)
    except _NO_KEY:
        return None
    own = jwk.get("alg")
    return Key(material, [name for name in algorithms if own in (None, name)], kid=kid)


def _prepared(algorithm: Algorithm, material: Any) -> Any | None:
    """Return the key as the algorithm wants it; None when it is of another kind or too short."""
    try:
        prepared = algorithm.prepare_key(material)
    except _NO_KEY:
        return None
    if algorithm.check_key_length(prepared) is not None:
        return None
    return None if getattr(prepared, "key_size", 0) > _MAX_RSA_BITS else prepared
