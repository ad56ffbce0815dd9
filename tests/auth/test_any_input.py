"""Whatever is sent, or published, is refused in words: nothing else is ever raised."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.auth.bearer import bearer_token
from dockrion.auth.claims import complaint_of_parties, complaint_of_times, identity_from
from dockrion.auth.jws import read_token
from dockrion.auth.jwt_keys import Key, KeySet, keys_from_set
from dockrion.errors import AuthError
from dockrion.spec.auth import ALGORITHMS, ClaimsSpec
from tests.auth.tokens import NOW, ec_key, jwk, rsa_key, segment, signed

# The first example of a test makes the keys, which takes as long as it takes.
bounded = settings(deadline=None)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PARTS = st.binary(max_size=80) | st.builds(
    lambda data: segment(json.dumps(data).encode()).encode(), ANY_JSON
)
HEADERS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "ES256"])},
    optional=dict.fromkeys(("kid", "crit", "b64", "jwk", "typ"), ANY_JSON),
)
NAMES = ("exp", "nbf", "iat", "iss", "aud", "sub", "email", "name", "roles", "scope")
MEMBERS = ("kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y", "d")


@cache
def published() -> KeySet:
    return keys_from_set({"keys": [jwk(rsa_key(), "r"), jwk(ec_key(), "e")]}, ["RS256", "ES256"])


@bounded
@given(st.lists(PARTS, max_size=5))
def test_any_bytes_are_refused_as_a_token(parts: list[bytes]) -> None:
    try:
        token = read_token(
            bearer_token([(b"authorization", b"Bearer " + b".".join(parts))]), ALGORITHMS
        )
    except AuthError:
        return
    assert published().check(token) != "proven"


@bounded
@given(HEADERS, ANY_JSON, st.binary(max_size=300))
def test_any_header_with_any_signature_proves_nothing(
    header: dict[str, Any], claims: Any, signature: bytes
) -> None:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    try:
        token = read_token(".".join(map(segment, parts)).encode(), ALGORITHMS)
    except AuthError:
        return
    assert published().check(token) != "proven"


@bounded
@given(st.dictionaries(st.sampled_from(NAMES), ANY_JSON | st.floats() | st.integers()))
def test_any_claims_have_an_identity_or_a_complaint(claims: dict[str, Any]) -> None:
    complaint = complaint_of_times(claims, now=NOW, leeway=30)
    complaint = complaint or complaint_of_parties(claims, issuer="i", audience="a")
    assert complaint is None or complaint.isascii()
    found = identity_from(claims, ClaimsSpec(), auth_method="jwt", without_user_id="token:1")
    assert found.id
    assert all(isinstance(word, str) for word in (*found.roles, *found.scopes))


# Each of these makes several keys, which takes milliseconds.
@settings(bounded, max_examples=40)
@given(
    st.dictionaries(
        st.sampled_from(MEMBERS),
        ANY_JSON | st.sampled_from(["RSA", "EC", "oct", "P-256", "AQAB", "AA", "sig", "verify"]),
    )
)
def test_any_published_key_is_of_use_or_passed_over(key: dict[str, Any]) -> None:
    good = jwk(rsa_key(), "r")
    for data in ({**good, **key}, {**jwk(ec_key()), **key}):
        keys = keys_from_set({"keys": [data, good]}, ["RS256", "ES256"])
        assert 1 <= len(keys) <= 2
        assert keys.check(read_token(signed(kid="r").encode(), ["RS256"])) in ("proven", "forged")


@bounded
@given(ANY_JSON)
def test_any_document_is_a_set_of_keys_or_of_none(data: Any) -> None:
    assert len(keys_from_set(data, ["RS256"])) == 0


def test_a_key_of_no_algorithm_fits_nothing() -> None:
    assert Key("", ALGORITHMS).fits == frozenset()
