"""Signed tokens, proven by a key in a variable."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.auth.jwt import JwtAuthenticator
from dockrion.errors import AuthError, ValidationError
from dockrion.events.identity import Identity
from dockrion.spec.auth import JwtSpec
from tests.auth import token_attacks
from tests.auth.tokens import (
    CLAIMS,
    NOW,
    SECRET,
    bearer,
    ec_key,
    private_pem,
    public_pem,
    rsa_key,
    signed,
)


def authenticator(key: str | None = None, *, now: float = NOW, **spec: Any) -> JwtAuthenticator:
    environ = {"PUBLIC_KEY": public_pem(rsa_key()) if key is None else key}
    data = {"public_key_env": "PUBLIC_KEY", **spec}
    return JwtAuthenticator(JwtSpec.model_validate(data), environ, now=lambda: now)


async def identity(token: str, key: str | None = None, **spec: Any) -> Identity:
    return await authenticator(key, **spec).authenticate(bearer(token))


@pytest.mark.parametrize("attack", token_attacks.rows(), ids=lambda attack: attack.name)
async def test_an_attack_is_refused(attack: token_attacks.Attack) -> None:
    known = authenticator(**token_attacks.JWT)
    with pytest.raises(AuthError) as refused:
        await known.authenticate(attack.headers)
    assert (refused.value.message, refused.value.status) == (attack.message, attack.status)


async def test_the_good_token_of_the_attack_table_gets_in() -> None:
    found = await identity(token_attacks.good_token(), **token_attacks.JWT)
    assert found == Identity(id="ada", auth_method="jwt")


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  ", b" Bearer "])
async def test_the_scheme_is_read_in_any_case(scheme: bytes) -> None:
    headers = [(b"authorization", scheme + signed().encode())]
    assert (await authenticator().authenticate(headers)).id == "ada"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_rsa_tokens_get_in(algorithm: str) -> None:
    assert (await identity(signed(algorithm=algorithm), algorithms=[algorithm])).id == "ada"


@pytest.mark.parametrize(("algorithm", "bits"), [("ES256", 256), ("ES384", 384), ("ES512", 521)])
async def test_elliptic_curve_tokens_get_in(algorithm: str, bits: int) -> None:
    key = ec_key(bits=bits)
    token = signed(key=key, algorithm=algorithm)
    assert (await identity(token, public_pem(key), algorithms=[algorithm])).id == "ada"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
async def test_tokens_with_a_shared_secret_get_in(algorithm: str) -> None:
    token = signed(key=SECRET, algorithm=algorithm)
    assert (await identity(token, SECRET, algorithms=[algorithm])).id == "ada"


async def test_a_wrong_secret_does_not_get_in() -> None:
    with pytest.raises(AuthError, match="its signature is wrong"):
        await identity(signed(key=SECRET[::-1], algorithm="HS256"), SECRET, algorithms=["HS256"])


async def test_line_ends_of_the_pem_may_be_escaped() -> None:
    assert (await identity(signed(), public_pem(rsa_key()).replace("\n", "\\n"))).id == "ada"


async def test_a_key_id_does_not_matter_where_there_is_one_key() -> None:
    assert (await identity(signed(kid="whatever"))).id == "ada"


@pytest.mark.parametrize(
    ("key", "algorithms", "complaint"),
    [
        ("", ["RS256"], "PUBLIC_KEY is not set"),
        (" \n", ["HS256"], "PUBLIC_KEY is not set"),
        ("garbage", ["RS256"], "holds no public key in PEM format"),
        (SECRET, ["ES256"], "holds no public key in PEM format"),
        (public_pem(rsa_key())[:-60], ["RS256"], "holds no public key in PEM format"),
        (private_pem(rsa_key()), ["RS256"], "holds a private key"),
        (public_pem(ec_key()), ["RS256"], "fits none of auth.jwt.algorithms"),
        (public_pem(rsa_key()), ["ES256", "ES384"], "fits none of auth.jwt.algorithms"),
        (public_pem(ec_key()), ["ES384"], "fits none of auth.jwt.algorithms"),
        (public_pem(rsa_key("weak", 1024)), ["RS256"], "is too short"),
        (public_pem(rsa_key()), ["HS256"], "holds a key that is not secret"),
        ('{"kty": "RSA", "n": "AQAB", "e": "AQAB"}', ["HS256"], "a key that is not secret"),
        ("x" * 31, ["HS256"], "too short for HS256; RFC 7518 asks for 32 bytes"),
        ("x" * 40, ["HS256", "HS512"], "too short for HS512; RFC 7518 asks for 64 bytes"),
    ],
)
def test_a_key_that_cannot_prove_anything_stops_the_start(
    key: str, algorithms: list[str], complaint: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        authenticator(key, algorithms=algorithms)
    message = refused.value.message
    assert message.startswith("auth.jwt.public_key_env: the variable PUBLIC_KEY ")
    assert complaint in message
    assert not key.strip() or key not in message


def test_a_variable_that_is_missing_stops_the_start() -> None:
    with pytest.raises(ValidationError, match="PUBLIC_KEY is not set"):
        JwtAuthenticator(JwtSpec(public_key_env="PUBLIC_KEY"), {})


@pytest.mark.parametrize(("late", "gets_in"), [(29, True), (30, False)])
async def test_clocks_may_differ_by_the_leeway(late: float, gets_in: bool) -> None:
    known = authenticator(now=NOW + late, leeway_seconds=30)
    expired = signed({"sub": "ada", "exp": NOW})
    if gets_in:
        assert (await known.authenticate(bearer(expired))).id == "ada"
    else:
        with pytest.raises(AuthError, match="it has expired"):
            await known.authenticate(bearer(expired))


async def test_a_token_may_begin_within_the_leeway() -> None:
    claims = {**CLAIMS, "nbf": NOW + 30, "iat": NOW + 30}
    assert (await identity(signed(claims), leeway_seconds=30)).id == "ada"


async def test_issuer_and_audience_are_not_looked_at_unless_they_are_set() -> None:
    assert (await identity(signed({**CLAIMS, "iss": 1, "aud": "anybody"}))).id == "ada"


async def test_one_of_several_audiences_is_enough() -> None:
    claims = {**CLAIMS, "aud": ["other", "the-agent"]}
    assert (await identity(signed(claims), audience="the-agent")).id == "ada"


async def test_claims_become_the_identity() -> None:
    claims = {
        **CLAIMS,
        "email": "ada@example.com",
        "name": "Ada",
        "realm_access": {"roles": ["admin", "user"]},
        "https://example.com/permissions": "invoke read_logs",
        "scp": ["a", "b"],
        "org": {"id": "o1"},
    }
    names = {
        "roles": "realm_access.roles",
        "permissions": "https://example.com/permissions",
        "scopes": "scp",
        "tenant_id": "org.id",
    }
    assert await identity(signed(claims), claims=names) == Identity(
        id="ada",
        auth_method="jwt",
        email="ada@example.com",
        name="Ada",
        roles=("admin", "user"),
        permissions=("invoke", "read_logs"),
        scopes=("a", "b"),
        tenant_id="o1",
    )


@pytest.mark.parametrize("value", [None, 7, True, {"a": "b"}, ["a", 7], [["a"]], [None]])
async def test_a_claim_that_is_misshapen_is_none(value: Any) -> None:
    claims = {**CLAIMS, **dict.fromkeys(("email", "name", "roles", "permissions", "scope"), value)}
    assert await identity(signed(claims)) == Identity(id="ada", auth_method="jwt")


@pytest.mark.parametrize("subject", [None, 7, "", " ", ["ada"], {"id": "ada"}])
async def test_without_a_user_the_identity_is_a_hash_of_the_token(subject: Any) -> None:
    token = signed({**CLAIMS, "sub": subject})
    other = signed({**CLAIMS, "sub": subject, "exp": NOW + 601})
    first, again, second = [await identity(text) for text in (token, token, other)]
    assert first.id == again.id != second.id
    assert first.id.startswith("token:")
    assert not any(part in first.id for part in token.split("."))


async def test_two_signatures_of_one_token_are_one_identity() -> None:
    claims = {"exp": NOW + 600}
    tokens = [signed(claims, ec_key(), "ES256") for _ in range(2)]
    assert tokens[0] != tokens[1]
    pem = public_pem(ec_key())
    ids = {(await identity(token, pem, algorithms=["ES256"])).id for token in tokens}
    assert len(ids) == 1


async def test_no_answer_tells_what_was_expected_or_sent() -> None:
    for attack in token_attacks.rows():
        with pytest.raises(AuthError) as refused:
            await authenticator(**token_attacks.JWT).authenticate(attack.headers)
        for secret in ("evil", "id.example.com", "the-agent", "RS256", "eyJ", "k1"):
            assert secret not in refused.value.message
