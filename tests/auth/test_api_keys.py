"""API keys: which variables hold them, and which header gets in."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from dockrion.auth.api_keys import ApiKeyAuthenticator
from dockrion.errors import AuthError, ValidationError
from dockrion.events.identity import Identity
from dockrion.spec.auth import ApiKeysSpec


def authenticator(environ: dict[str, str], **section: Any) -> ApiKeyAuthenticator:
    return ApiKeyAuthenticator(ApiKeysSpec.model_validate(section), environ)


async def caller(keys: ApiKeyAuthenticator, *headers: tuple[str, str | bytes]) -> Identity:
    raw = [
        (name.lower().encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers
    ]
    return await keys.authenticate(raw)


async def refusal(keys: ApiKeyAuthenticator, *headers: tuple[str, str | bytes]) -> str:
    with pytest.raises(AuthError) as caught:
        await caller(keys, *headers)
    assert caught.value.status == 401
    return caught.value.message


ONE = {"DOCKRION_API_KEY": "s3cret-key"}
HASHED = f"sha256:{sha256(b's3cret-key').hexdigest()}"


@pytest.mark.parametrize(
    "headers",
    [
        [("X-API-Key", "s3cret-key")],
        [("X-API-Key", " s3cret-key\t")],
        [("Authorization", "Bearer s3cret-key")],
        [("Authorization", "bEaReR   s3cret-key ")],
        # The key's own header is there, so nobody looks at the other, right or wrong or twice.
        [("X-API-Key", "s3cret-key"), ("Authorization", "Bearer wrong")],
        [("Authorization", "a"), ("Authorization", "b"), ("X-API-Key", "s3cret-key")],
    ],
)
@pytest.mark.parametrize(
    "value", ["s3cret-key", HASHED, HASHED.upper().replace("SHA256", "sha256")]
)
async def test_a_right_key_gets_in(headers: list[tuple[str, str]], value: str) -> None:
    keys = authenticator({"DOCKRION_API_KEY": value})
    identity = await caller(keys, *headers)
    assert identity.auth_method == "api_key"
    assert identity.name is None
    assert identity.id.startswith("key-")
    assert "s3cret" not in identity.id
    assert sha256(b"s3cret-key").hexdigest()[:16] not in identity.id


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "API key required"),
        ([("X-API-Key", "")], "API key required"),
        ([("X-API-Key", "  ")], "API key required"),
        ([("X-API-Key", ""), ("Authorization", "Bearer s3cret-key")], "API key required"),
        ([("X-API-Key", "wrong"), ("Authorization", "Bearer s3cret-key")], "Invalid API key"),
        ([("X-API-Key", "s3cret-key"), ("X-API-Key", "s3cret-key")], "Invalid API key"),
        ([("X-API-Key", ""), ("X-API-Key", "s3cret-key")], "Invalid API key"),
        ([("X-API-Key", "s3cret-key, s3cret-key")], "Invalid API key"),
        ([("X-API-Key", "Bearer s3cret-key")], "Invalid API key"),
        ([("X-API-Key", "s3cret-ke")], "Invalid API key"),
        ([("X-API-Key", "S3CRET-KEY")], "Invalid API key"),
        ([("X-API-Key", HASHED)], "Invalid API key"),
        ([("X-API-Key", sha256(b"s3cret-key").digest())], "Invalid API key"),
        ([("X-API-Key", b"s\xe9cret-\xff\x00")], "Invalid API key"),
        ([("X-API-Key", "k" * 60_000)], "Invalid API key"),
        ([("Authorization", "Bearer")], "API key required"),
        ([("Authorization", "Bearer ")], "API key required"),
        ([("Authorization", "Basic czNjcmV0LWtleQ==")], "API key required"),
        ([("Authorization", "s3cret-key")], "API key required"),
        ([("Authorization", "Bearer s3cret-key")] * 2, "API key required"),
        ([("Authorization", "Bearer s3cret-key")] * 3, "API key required"),
        ([("X-Other", "s3cret-key")], "API key required"),
    ],
)
@pytest.mark.parametrize("value", ["s3cret-key", HASHED])
async def test_anything_else_does_not(
    headers: list[tuple[str, str | bytes]], message: str, value: str
) -> None:
    assert await refusal(authenticator({"DOCKRION_API_KEY": value}), *headers) == message


async def test_without_allow_bearer_the_header_alone_counts() -> None:
    keys = authenticator(ONE, allow_bearer=False, header="X-Mine")
    assert await refusal(keys, ("Authorization", "Bearer s3cret-key")) == "API key required"
    assert await refusal(keys, ("X-API-Key", "s3cret-key")) == "API key required"
    assert (await caller(keys, ("x-MINE", "s3cret-key"))).auth_method == "api_key"


async def test_the_header_may_be_authorization_itself() -> None:
    keys = authenticator(ONE, header="Authorization")
    for sent in ("s3cret-key", "Bearer s3cret-key"):
        assert await caller(keys, ("Authorization", sent))
    strict = authenticator(ONE, header="Authorization", allow_bearer=False)
    assert await refusal(strict, ("Authorization", "Bearer s3cret-key")) == "Invalid API key"


async def test_a_key_may_be_no_ascii_and_has_no_space_around_it() -> None:
    keys = authenticator({"DOCKRION_API_KEY": " schlüssel\n"})
    assert await caller(keys, ("X-API-Key", "schlüssel"))
    assert await refusal(keys, ("X-API-Key", "schlüssel".encode("latin-1"))) == "Invalid API key"


async def test_named_keys_have_their_name_and_role() -> None:
    listed = [
        {"name": "alice", "env_var": "A_KEY", "role": "admin"},
        {"name": "bob", "env_var": "B_KEY"},
    ]
    keys = authenticator({**ONE, "A_KEY": "aaaa", "B_KEY": "bbbb"}, keys=listed)
    assert await caller(keys, ("X-API-Key", "aaaa")) == Identity(
        id="alice", auth_method="api_key", name="alice", roles=("admin",)
    )
    assert (await caller(keys, ("X-API-Key", "bbbb"))).id == "bob"
    # They replace `env_var`.
    assert await refusal(keys, ("X-API-Key", "s3cret-key")) == "Invalid API key"


PREFIXED = {
    "PROD_API_KEY": "one",
    "PROD_API_KEY_ALICE": "two",
    "PROD_API_KEYS": "no",
    "PROD_API_KEY_": "not either",
    "PROD_OTHER": "neither",
    "prod_api_key_x": "nor this",
    **ONE,
}


@pytest.mark.parametrize("prefix", ["prod", "PROD", "PROD_"])
async def test_a_prefix_names_its_keys_and_no_other_variable(prefix: str) -> None:
    keys = authenticator(PREFIXED, prefix=prefix)
    assert (await caller(keys, ("X-API-Key", "one"))).name is None
    assert (await caller(keys, ("X-API-Key", "two"))).id == "ALICE"
    for value in ("no", "not either", "neither", "nor this", "s3cret-key"):
        assert await refusal(keys, ("X-API-Key", value)) == "Invalid API key"


async def test_a_prefix_that_ends_in_key_is_what_variables_start_with() -> None:
    keys = authenticator(
        {"TEAM_KEY_A": "one", "TEAM_KEY_": "x", "TEAM_KEY": "y"}, prefix="TEAM_KEY_"
    )
    assert (await caller(keys, ("X-API-Key", "one"))).id == "A"
    for value in ("x", "y"):
        assert await refusal(keys, ("X-API-Key", value)) == "Invalid API key"


async def test_keys_and_prefix_go_together_and_a_listed_variable_keeps_its_name() -> None:
    listed = [{"name": "alice", "env_var": "PROD_API_KEY_ALICE", "role": "admin"}]
    keys = authenticator(PREFIXED, prefix="prod", keys=listed)
    assert (await caller(keys, ("X-API-Key", "two"))).roles == ("admin",)
    assert (await caller(keys, ("X-API-Key", "one"))).roles == ()


LISTED = [{"name": "a", "env_var": "A_KEY"}, {"name": "b", "env_var": "B_KEY"}]


@pytest.mark.parametrize(
    ("environ", "section", "says"),
    [
        ({}, {}, ["DOCKRION_API_KEY is not set"]),
        ({"DOCKRION_API_KEY": " "}, {}, ["DOCKRION_API_KEY is not set"]),
        ({}, {"env_var": "MINE"}, ["MINE is not set"]),
        ({"A_KEY": "x1"}, {"keys": LISTED}, ["B_KEY is not set"]),
        ({}, {"keys": LISTED}, ["A_KEY is not set, B_KEY is not set"]),
        (ONE, {"keys": []}, ["keys", "empty"]),
        (ONE, {"prefix": "prod"}, ["no variable PROD_API_KEY or PROD_API_KEY_<NAME> is set"]),
        ({"PROD_API_KEY_X": " "}, {"prefix": "prod"}, ["no variable PROD_API_KEY or PROD_API_KEY"]),
        (ONE, {"prefix": "A_KEY_"}, ["no variable A_KEY_<NAME> is set"]),
        ({"DOCKRION_API_KEY": "sha256:"}, {}, ["DOCKRION_API_KEY", "64 hexadecimal digits"]),
        ({"DOCKRION_API_KEY": HASHED[:-1]}, {}, ["64 hexadecimal digits"]),
        ({"DOCKRION_API_KEY": f"{HASHED[:-1]}g"}, {}, ["64 hexadecimal digits"]),
        ({"A_KEY": "same", "B_KEY": "same"}, {"keys": LISTED}, ["A_KEY and B_KEY hold the same"]),
        ({"A_KEY": "s3cret-key", "B_KEY": HASHED}, {"keys": LISTED}, ["hold the same key"]),
        (
            {"A_KEY": "one", "PROD_API_KEY_a": "two"},
            {"prefix": "prod", "keys": LISTED[:1]},
            ["both called 'a'"],
        ),
    ],
)
def test_keys_that_are_not_there_or_not_sound_are_refused(
    environ: dict[str, str], section: dict[str, Any], says: list[str]
) -> None:
    with pytest.raises(ValidationError) as caught:
        authenticator(environ, **section)
    assert all(part in caught.value.message for part in says), caught.value.message
    assert not any(value in caught.value.message for value in ("s3cret", "same\n", HASHED[8:20]))


async def test_with_a_prefix_an_empty_variable_is_no_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    keys = authenticator({**PREFIXED, "PROD_API_KEY_X": ""}, prefix="prod")
    assert (await caller(keys, ("X-API-Key", "two"))).id == "ALICE"
    assert await refusal(keys, ("X-API-Key", "")) == "API key required"
    await keys.start()
    assert "PROD_API_KEY_X" not in str(vars(caplog.records[0]))


async def test_the_variables_are_logged_at_start_and_no_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    await authenticator(PREFIXED, prefix="prod").start()
    assert getattr(caplog.records[0], "variables") == ["PROD_API_KEY", "PROD_API_KEY_ALICE"]  # noqa: B009
    assert "two" not in str(vars(caplog.records[0]))
