"""Keys, tokens that they sign, and tokens that nobody should have signed."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import get_default_algorithms

NOW = 1_700_000_000.0
SECRET = "a-secret-of-more-than-sixty-four-bytes-" * 2
ISSUER, AUDIENCE = "https://id.example.com/", "the-agent"
CLAIMS = {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 600}


@cache
def rsa_key(name: str = "first", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str = "first", bits: int = 256) -> ec.EllipticCurvePrivateKey:
    curves = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
    return ec.generate_private_key(curves[bits])


def public_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form).decode()


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def jwk(key: Any, kid: str | None = "k1", **members: Any) -> dict[str, Any]:
    maker = get_default_algorithms()["RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"]
    data = {**maker.to_jwk(key.public_key(), as_dict=True), **members}
    # What PyJWT says of use and operations is not what providers publish.
    data.pop("key_ops", None)
    return {**data, **members} if kid is None else {**data, "kid": kid, **members}


def signed(
    claims: dict[str, Any] | None = None,
    key: Any = None,
    algorithm: str = "RS256",
    **header: Any,
) -> str:
    claims = CLAIMS if claims is None else claims
    payload = json.dumps(claims).encode()
    return jwt.api_jws.encode(payload, key or rsa_key(), algorithm, headers=header or None)


def segment(data: Any) -> str:
    text = data if isinstance(data, bytes) else json.dumps(data).encode()
    return urlsafe_b64encode(text).rstrip(b"=").decode()


def forged(header: Any, claims: Any, secret: bytes) -> str:
    """Sign with HMAC, whatever the header says and however bad a secret it is."""
    text = f"{segment(header)}.{segment(claims)}"
    return f"{text}.{segment(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def bearer(token: str | bytes) -> list[tuple[bytes, bytes]]:
    text = token if isinstance(token, bytes) else token.encode()
    return [(b"authorization", b"Bearer " + text)]
