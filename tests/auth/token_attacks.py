"""Tokens that must not get in, and what their senders are told; a table for any server that accepts the good one.

The server has `JWT`, with the public key of `rsa_key()` in the variable, and takes `signed()` at the time `NOW`; one with a clock
of its own takes `rows(now)`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.auth.tokens import (
    AUDIENCE,
    CLAIMS,
    ISSUER,
    NOW,
    SECRET,
    ec_key,
    forged,
    jwk,
    public_pem,
    rsa_key,
    segment,
    signed,
)

JWT: dict[str, Any] = {
    "public_key_env": "PUBLIC_KEY",
    "issuer": ISSUER,
    "audience": AUDIENCE,
    "algorithms": ["RS256"],
}


class Attack(NamedTuple):
    name: str
    headers: list[tuple[bytes, bytes]]
    message: str
    status: int = 401


def good_token(now: float = NOW) -> str:
    return signed({**CLAIMS, "exp": now + 600})


def rows(now: float = NOW) -> list[Attack]:
    return [*_without_token(now), *_broken(now), *_badly_signed(now), *_wrong_claims(now)]


def _without_token(now: float) -> list[Attack]:
    good = good_token(now).encode()
    required = "Bearer token required"

    def row(name: str, *values: bytes, message: str = required) -> Attack:
        return Attack(name, [(b"authorization", value) for value in values], message)

    return [
        row("no header"),
        Attack("key in another header", [(b"x-api-key", good)], required),
        row("empty header", b""),
        row("empty bearer", b"Bearer "),
        row("no scheme", good),
        row("another scheme", b"Basic " + good),
        row("bearer joined to the token", b"Bearer" + good),
        row("a tab for the space", b"Bearer\t" + good),
        row("two headers", b"Bearer " + good, b"Bearer " + good),
    ]


def _broken(now: float) -> list[Attack]:
    good = good_token(now)
    head, payload, signature = good.split(".")
    malformed = "JWT validation failed: it is malformed"
    broken = {
        "two tokens in one header": f"{good}, Bearer {good}",
        "not a token": "abc",
        "not ASCII": "\u00e9.\u00e9.\u00e9",
        "no signature part": f"{head}.{payload}",
        "an empty signature": f"{head}.{payload}.",
        "an extra dot": f"{good}.",
        "five parts": f"{head}.{payload}.{signature}.a.b",
        "no header part": f".{payload}.{signature}",
        "padding": f"{good}==",
        "padding inside": f"{head}=.{payload}.{signature}",
        "standard base64": f"{head}.{payload}.{signature[:-4]}a+/b",
        "white space inside": f"{head}. {payload}.{signature}",
        "an impossible length": f"{head}.{payload}.{signature[:-1]}",
        "spare bits of the signature": f"{head}.{payload}.{_other_spare_bits(signature)}",
        "header is no JSON": f"{segment(b'{')}.{payload}.{signature}",
        "header is no object": f"{segment([])}.{payload}.{signature}",
        "header is nested": f"{segment(b'[' * 5000)}.{payload}.{signature}",
        "kid is a number": signed_by_hand({"alg": "RS256", "kid": 1}, payload),
    }
    return [
        *(_attack(name, token, malformed) for name, token in broken.items()),
        _attack(
            "a huge token",
            "a" * 20_000,
            "JWT validation failed: it is longer than 16384 bytes",
        ),
    ]


def signed_by_hand(header: dict[str, Any], payload: str) -> str:
    return f"{segment(header)}.{payload}.{segment(b'x' * 256)}"


def _other_spare_bits(signature: str) -> str:
    # Of 256 bytes the last character carries four bits.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return signature[:-1] + alphabet[alphabet.index(signature[-1]) + 1]


def _badly_signed(now: float) -> list[Attack]:
    claims = {**CLAIMS, "exp": now + 600}
    payload = segment(claims)
    good = signed(claims)
    head, _, signature = good.split(".")
    pem = public_pem(rsa_key())
    algorithm = "JWT validation failed: its algorithm is not accepted"
    extension = "JWT validation failed: its header asks for what is not supported"
    wrong = "JWT validation failed: its signature is wrong"
    own_key = jwk(rsa_key("attacker"))
    cases = {
        "alg none": (f"{segment({'alg': 'none'})}.{payload}.{signature}", algorithm),
        "alg None": (f"{segment({'alg': 'None'})}.{payload}.{signature}", algorithm),
        "no alg": (f"{segment({'typ': 'JWT'})}.{payload}.{signature}", algorithm),
        "alg is a list": (f"{segment({'alg': ['RS256']})}.{payload}.{signature}", algorithm),
        "HS256 with the public key": (forged({"alg": "HS256"}, claims, pem.encode()), algorithm),
        "RS256 in name, HMAC with the public key": (
            forged({"alg": "RS256"}, claims, pem.encode()),
            wrong,
        ),
        "an algorithm not in the list": (signed(claims, algorithm="RS512"), algorithm),
        "PS256": (signed(claims, algorithm="PS256"), algorithm),
        "ES256 of another key": (signed(claims, ec_key(), "ES256"), algorithm),
        "the wrong key": (signed(claims, rsa_key("attacker")), wrong),
        "the wrong key, its own in the header": (
            signed(claims, rsa_key("attacker"), jwk=own_key),
            wrong,
        ),
        "the wrong key, an address of it": (
            signed(
                claims,
                rsa_key("attacker"),
                jku="https://evil.example/keys",
                x5u="https://evil.example/x",
            ),
            wrong,
        ),
        "a path as kid": (signed(claims, rsa_key("attacker"), kid="../../dev/null"), wrong),
        "claims changed": (
            f"{head}.{segment({**claims, 'sub': 'root'})}.{signature}",
            wrong,
        ),
        "the signature of another token": (
            f"{good.rsplit('.', 1)[0]}.{signed({**claims, 'a': 1}).rsplit('.', 1)[1]}",
            wrong,
        ),
        "crit": (signed(claims, crit=["exp"], exp=1), extension),
        "crit that is empty": (signed(claims, crit=[]), extension),
        "b64": (signed_by_hand({"alg": "RS256", "b64": False}, payload), extension),
        "a secret": (forged({"alg": "HS256"}, claims, SECRET.encode()), algorithm),
    }
    return [_attack(name, token, message) for name, (token, message) in cases.items()]


def _wrong_claims(now: float) -> list[Attack]:
    good = {**CLAIMS, "exp": now + 600}
    expired, not_yet = "it has expired", "it is not valid yet"
    issuer, audience = "its issuer is missing or wrong", "its audience is missing or wrong"

    def without(name: str) -> dict[str, Any]:
        return {key: value for key, value in good.items() if key != name}

    cases: dict[str, tuple[Any, str]] = {
        "expired": ({**good, "exp": now - 31}, expired),
        "no exp": (without("exp"), "it has no exp, so it would never end"),
        "exp is null": ({**good, "exp": None}, "it has no exp, so it would never end"),
        "exp is text": ({**good, "exp": str(now + 600)}, "its exp is not a time"),
        "exp is true": ({**good, "exp": True}, "its exp is not a time"),
        "exp is a list": ({**good, "exp": [now + 600]}, "its exp is not a time"),
        "exp is NaN": ({**good, "exp": float("nan")}, "it is malformed"),
        "exp is infinite": ({**good, "exp": float("inf")}, "it is malformed"),
        "exp is beyond floats": ({**good, "exp": 10**400}, "its exp is not a time"),
        "not valid yet": ({**good, "nbf": now + 60}, not_yet),
        "nbf is text": ({**good, "nbf": "0"}, "its nbf is not a time"),
        "issued in the future": ({**good, "iat": now + 60}, not_yet),
        "another issuer": ({**good, "iss": "https://evil.example/"}, issuer),
        "issuer with another case": ({**good, "iss": ISSUER.upper()}, issuer),
        "a list of issuers": ({**good, "iss": [ISSUER]}, issuer),
        "no issuer": (without("iss"), issuer),
        "another audience": ({**good, "aud": "another"}, audience),
        "audience within a longer one": ({**good, "aud": f"{AUDIENCE}-2"}, audience),
        "a list of other audiences": ({**good, "aud": ["a", "b"]}, audience),
        "an object of audiences": ({**good, "aud": {AUDIENCE: 1}}, audience),
        "no audience": (without("aud"), audience),
        "claims are a list": ([1], "it is malformed"),
    }
    return [
        _attack(name, signed(claims), f"JWT validation failed: {reason}")
        for name, (claims, reason) in cases.items()
    ]


def _attack(name: str, token: str, message: str) -> Attack:
    return Attack(name, [(b"authorization", f"Bearer {token}".encode())], message)
