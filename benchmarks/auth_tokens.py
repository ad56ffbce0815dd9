"""What it costs to know the sender of a token: microseconds for each check, as JSON.

    .venv/bin/python benchmarks/auth_tokens.py

Each token is checked whole, as for a new one; the issuer's keys, or its answer about the token, are there already.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from dockrion.auth.base import Authenticator, Headers
from dockrion.auth.endpoint import Endpoint
from dockrion.auth.jwks import Jwks
from dockrion.auth.jwt import JwtAuthenticator
from dockrion.auth.oauth2 import OAuth2Authenticator
from dockrion.spec.auth import JwtSpec, OAuth2Spec

ROUNDS, CHECKS = 9, 1000
ISSUER, AUDIENCE = "https://id.example.com/realms/agents", "agent"
URL = "http://127.0.0.1:1/"
SECRET = "a secret of more than thirty-two bytes"
# The shape and size of what identity providers send.
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": [AUDIENCE, "account"],
    "sub": "0f3e5f0a-9f5a-4a8c-8d1e-33a9a6b7c0de",
    "exp": 2**33,
    "iat": 1_700_000_000,
    "nbf": 1_700_000_000,
    "azp": "web",
    "email": "someone@example.com",
    "name": "Some One",
    "scope": "openid profile email",
    "realm_access": {"roles": ["reader", "writer", "offline_access"]},
}


class Canned(Endpoint):
    """An issuer that has answered."""

    def __init__(self, answer: Any) -> None:
        super().__init__(URL, field="url")
        self._answer = answer

    async def get(self) -> Any:
        return self._answer

    async def post(self, *_: Any, **__: Any) -> Any:
        return self._answer


def main() -> None:
    print(json.dumps(asyncio.run(measure()), indent=2))


async def measure() -> dict[str, float]:
    rsa_key = rsa.generate_private_key(65537, 2048)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    return {
        "jwt_rs256_us": await cost(with_key("RS256", pem(rsa_key)), signed("RS256", rsa_key)),
        "jwt_es256_us": await cost(with_key("ES256", pem(ec_key)), signed("ES256", ec_key)),
        "jwt_hs256_us": await cost(with_key("HS256", SECRET), signed("HS256", SECRET)),
        "jwks_rs256_us": await cost(with_set("RS256", rsa_key), signed("RS256", rsa_key)),
        "jwks_es256_us": await cost(with_set("ES256", ec_key), signed("ES256", ec_key)),
        "oauth2_cached_us": await cost(introspected(), "an-opaque-token"),
    }


async def cost(known: Authenticator, token: str) -> float:
    """Return the best round, the one that the rest of the machine disturbed least."""
    headers: Headers = [(b"host", b"a"), (b"authorization", f"Bearer {token}".encode())]
    await known.start()
    await known.authenticate(headers)
    rounds: list[float] = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(CHECKS):
            await known.authenticate(headers)
        rounds.append((time.perf_counter() - begin) / CHECKS * 1e6)
    await known.close()
    return round(min(rounds), 1)


def with_key(algorithm: str, key: str) -> Authenticator:
    return JwtAuthenticator(section(algorithm, public_key_env="KEY"), {"KEY": key})


def with_set(algorithm: str, key: Any) -> Authenticator:
    maker = get_default_algorithms()[algorithm]
    jwk = {**maker.to_jwk(key.public_key(), as_dict=True), "kid": "k1"}
    others = [{**jwk, "kid": f"k{number}"} for number in range(2, 6)]
    keys = Jwks(Canned({"keys": [*others, jwk]}), [algorithm])
    return JwtAuthenticator(section(algorithm, jwks_url=URL), {}, keys=keys)


def introspected() -> Authenticator:
    spec = OAuth2Spec(introspection_url=URL, cache_seconds=3600, required_scopes=("openid",))
    return OAuth2Authenticator(spec, {}, endpoint=Canned({"active": True, **CLAIMS}))


def section(algorithm: str, **source: str) -> JwtSpec:
    return JwtSpec.model_validate(
        {
            **source,
            "algorithms": [algorithm],
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "claims": {"roles": "realm_access.roles"},
        }
    )


def signed(algorithm: str, key: Any) -> str:
    return jwt.encode(CLAIMS, key, algorithm, headers={"kid": "k1"})


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    public = key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


if __name__ == "__main__":
    main()
