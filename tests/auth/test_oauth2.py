"""Tokens that their issuer is asked about, at a real introspection endpoint: answers, outage, cache."""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dockrion.auth import oauth2
from dockrion.auth.endpoint import MAX_ANSWER_BYTES, Endpoint
from dockrion.auth.oauth2 import OAuth2Authenticator
from dockrion.errors import (
    AuthError,
    PermissionDeniedError,
    ServiceUnavailableError,
    ValidationError,
)
from dockrion.events.identity import Identity
from dockrion.spec.auth import OAuth2Spec
from tests.auth.clock import Clock
from tests.auth.provider import Provider, running_provider
from tests.auth.tokens import NOW, bearer

ACTIVE = {"active": True, "sub": "ada", "scope": "invoke profile"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.answer(ACTIVE)
        yield provider


@asynccontextmanager
async def running(
    provider: Provider,
    clock: Clock,
    *,
    environ: Mapping[str, str] | None = None,
    timeout: float = 4,
    **spec: Any,
) -> AsyncGenerator[OAuth2Authenticator]:
    known = OAuth2Authenticator(
        OAuth2Spec.model_validate({"introspection_url": provider.url, **spec}),
        environ or {},
        now=lambda: NOW + clock.now,
        clock=clock,
        endpoint=Endpoint(provider.url, field="auth.oauth2.introspection_url", timeout=timeout),
    )
    await known.start()
    try:
        yield known
    finally:
        await known.close()


async def refused(known: OAuth2Authenticator, token: str | bytes = "opaque") -> None:
    with pytest.raises(AuthError) as raised:
        await known.authenticate(bearer(token))
    assert (raised.value.message, raised.value.status) == ("Invalid token", 401)


async def test_the_issuer_is_asked_as_rfc_7662_says(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        assert (await known.authenticate(bearer("a+b/c.d~e-f_=="))).id == "ada"
    (asked,) = provider.asked
    assert asked.method == "POST"
    assert asked.form == {"token": "a+b/c.d~e-f_==", "token_type_hint": "access_token"}
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert asked.headers["Accept"] == "application/json"
    assert "Authorization" not in asked.headers


async def test_client_id_and_secret_are_encoded_before_they_are_joined(
    provider: Provider, clock: Clock
) -> None:
    environ = {"ID": "the client", "SECRET": "a:b%é"}
    names: dict[str, Any] = {"client_id_env": "ID", "client_secret_env": "SECRET"}
    async with running(provider, clock, environ=environ, **names) as known:
        await known.authenticate(bearer("opaque"))
    scheme, _, login = provider.asked[0].headers["Authorization"].partition(" ")
    assert (scheme, b64decode(login)) == ("Basic", b"the+client:a%3Ab%25%C3%A9")


async def test_a_client_without_secret_says_its_id(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock, environ={"ID": "public"}, client_id_env="ID") as known:
        await known.authenticate(bearer("opaque"))
    assert provider.asked[0].form["client_id"] == "public"
    assert "Authorization" not in provider.asked[0].headers


@pytest.mark.parametrize(
    ("names", "environ", "complaint"),
    [
        ({"client_id_env": "ID"}, {}, r"auth.oauth2.client_id_env: the variable ID is not set"),
        ({"client_id_env": "ID"}, {"ID": ""}, "the variable ID is not set"),
        (
            {"client_id_env": "ID", "client_secret_env": "SECRET"},
            {"ID": "a"},
            "auth.oauth2.client_secret_env: the variable SECRET is not set",
        ),
        ({"client_secret_env": "SECRET"}, {"SECRET": "hidden-one"}, "needs client_id_env"),
    ],
)
def test_a_credential_that_is_not_set_stops_the_start(
    names: dict[str, str], environ: dict[str, str], complaint: str
) -> None:
    spec = OAuth2Spec.model_validate({"introspection_url": "http://127.0.0.1/", **names})
    with pytest.raises(ValidationError, match=complaint) as raised:
        OAuth2Authenticator(spec, environ)
    assert "hidden-one" not in raised.value.message


async def test_the_answer_becomes_the_identity(provider: Provider, clock: Clock) -> None:
    provider.answer(
        {
            **ACTIVE,
            "username": "ada.l",
            "email": "ada@example.com",
            "roles": ["admin"],
            "permissions": "invoke read_logs",
        }
    )
    async with running(provider, clock) as known:
        assert await known.authenticate(bearer("opaque")) == Identity(
            id="ada",
            auth_method="oauth2",
            email="ada@example.com",
            name="ada.l",
            roles=("admin",),
            permissions=("invoke", "read_logs"),
            scopes=("invoke", "profile"),
        )


async def test_without_a_subject_the_identity_is_a_hash_of_the_token(
    provider: Provider, clock: Clock
) -> None:
    provider.answer({"active": True, "username": "ada"})
    async with running(provider, clock) as known:
        ids = [(await known.authenticate(bearer(token))).id for token in ("one", "one", "two")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("token:")
    assert "one" not in ids[0]


@pytest.mark.parametrize("active", [False, None, "true", 1, "yes", [True], {"active": True}])
async def test_only_true_is_active(provider: Provider, clock: Clock, active: Any) -> None:
    provider.answer({**ACTIVE, "active": active})
    async with running(provider, clock) as known:
        await refused(known)


async def test_an_answer_that_does_not_say_active_is_a_no(provider: Provider, clock: Clock) -> None:
    provider.answer({"sub": "ada"})
    async with running(provider, clock) as known:
        await refused(known)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW},
        {"exp": NOW - 1},
        {"exp": str(NOW + 60)},
        {"exp": True},
        {"nbf": NOW + 60},
        {"iat": NOW + 60},
    ],
    ids=str,
)
async def test_a_token_outside_its_time_is_refused_whatever_the_issuer_says(
    provider: Provider, clock: Clock, claims: dict[str, Any]
) -> None:
    provider.answer({**ACTIVE, **claims})
    async with running(provider, clock) as known:
        await refused(known)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic b3BhcXVl")],
        [(b"x-api-key", b"opaque")],
        [*bearer("opaque"), *bearer("opaque")],
    ],
    ids=str,
)
async def test_without_exactly_one_bearer_token_nobody_is_asked(
    provider: Provider, clock: Clock, headers: list[tuple[bytes, bytes]]
) -> None:
    async with running(provider, clock) as known:
        with pytest.raises(AuthError, match=r"^Bearer token required$"):
            await known.authenticate(headers)
    assert not provider.asked


@pytest.mark.parametrize(
    "token", ["a b", "a, Bearer b", "a&active=true", "é", 'a"', "=", "a=b", "a\x00", "a" * 16_385]
)
async def test_what_is_no_token_is_not_passed_on(
    provider: Provider, clock: Clock, token: str
) -> None:
    async with running(provider, clock) as known:
        await refused(known, token)
    assert not provider.asked


@pytest.mark.parametrize(
    ("scopes", "gets_in"),
    [("invoke", True), ("admin invoke", True), ("invoke-2", False), ("", False), (None, False)],
)
async def test_required_scopes_are_required(
    provider: Provider, clock: Clock, scopes: str | None, gets_in: bool
) -> None:
    provider.answer({**ACTIVE, "scope": scopes})
    async with running(provider, clock, required_scopes=["invoke"]) as known:
        for _ in range(2):
            if gets_in:
                assert (await known.authenticate(bearer("opaque"))).id == "ada"
            else:
                with pytest.raises(PermissionDeniedError) as raised:
                    await known.authenticate(bearer("opaque"))
                assert "invoke" not in raised.value.message
    assert len(provider.asked) == 1


async def test_an_answer_is_kept_for_its_time(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock, cache_seconds=30) as known:
        for moment, asked in ((0, 1), (29, 1), (30, 2), (59, 2), (60, 3)):
            clock.now = moment
            await known.authenticate(bearer("opaque"))
            assert len(provider.asked) == asked


async def test_an_answer_is_never_kept_past_the_end_of_its_token(
    provider: Provider, clock: Clock
) -> None:
    provider.answer({**ACTIVE, "exp": NOW + 10})
    async with running(provider, clock, cache_seconds=1000) as known:
        clock.now = 9
        await known.authenticate(bearer("opaque"))
        clock.now = 10
        await refused(known)


async def test_a_token_that_was_withdrawn_is_refused_after_the_cache(
    provider: Provider, clock: Clock
) -> None:
    async with running(provider, clock, cache_seconds=30) as known:
        await known.authenticate(bearer("opaque"))
        provider.answer({"active": False})
        clock.now = 30
        await refused(known)


async def test_a_refusal_is_kept_briefly(provider: Provider, clock: Clock) -> None:
    provider.answer({"active": False})
    async with running(provider, clock, cache_seconds=1000) as known:
        for moment, asked in ((0, 1), (4, 1), (5, 2)):
            clock.now = moment
            await refused(known)
            assert len(provider.asked) == asked
        provider.answer(ACTIVE)
        clock.now = 10
        assert (await known.authenticate(bearer("opaque"))).id == "ada"


async def test_the_cache_is_bounded_and_bad_tokens_push_out_no_good_ones(
    provider: Provider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth2, "MAX_KEPT", 2)
    async with running(provider, clock) as known:
        await known.authenticate(bearer("good"))
        provider.answer({"active": False})
        for number in range(4):
            await refused(known, f"bad-{number}")
        assert (await known.authenticate(bearer("good"))).id == "ada"
        assert len(provider.asked) == 5
        assert len(known._refused._answers) == 2
        await refused(known, "bad-0")
    assert len(provider.asked) == 6


async def test_callers_with_one_token_wait_for_one_answer(provider: Provider, clock: Clock) -> None:
    provider.gate.clear()
    async with running(provider, clock) as known:
        tasks = [asyncio.create_task(known.authenticate(bearer("opaque"))) for _ in range(20)]
        await anyio.wait_all_tasks_blocked()
        tasks[0].cancel()
        provider.gate.set()
        answers = await asyncio.gather(*tasks[1:])
        assert {answer.id for answer in answers} == {"ada"}
        assert not known._asked
    assert len(provider.asked) == 1


async def test_different_tokens_have_different_answers(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        await known.authenticate(bearer("good"))
        provider.answer({"active": False})
        await refused(known, "Good")
        await known.authenticate(bearer("good"))


@pytest.mark.parametrize("status", [201, 204, 302, 400, 401, 403, 404, 500, 503])
async def test_an_answer_with_another_status_is_no_answer(
    provider: Provider, clock: Clock, status: int
) -> None:
    provider.status = status
    provider.headers = {"Location": provider.url}
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("opaque"))
        assert len(provider.asked) == 1
        provider.answer(ACTIVE)
        assert (await known.authenticate(bearer("opaque"))).id == "ada"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"true",
        b"active",
        b"[" * 5000,
        b'{"active": true, "exp": NaN}',
        b'{"active": true, "a": "' + b"a" * MAX_ANSWER_BYTES + b'"}',
    ],
    ids=lambda body: body[:20],
)
async def test_an_answer_that_is_no_object_is_no_answer(
    provider: Provider, clock: Clock, body: bytes
) -> None:
    provider.body = body
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("opaque"))


async def test_compressed_answers_are_not_unpacked(provider: Provider, clock: Clock) -> None:
    provider.headers = {"Content-Encoding": "gzip"}
    provider.body = b"\x1f\x8b" + provider.body
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("opaque"))


async def test_an_issuer_that_is_down_lets_nobody_in(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock, cache_seconds=30) as known:
        await known.authenticate(bearer("opaque"))
        provider.stop()
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("another"))
        assert (await known.authenticate(bearer("opaque"))).id == "ada"
        clock.now = 30
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("opaque"))


async def test_a_slow_issuer_is_not_waited_for(provider: Provider, clock: Clock) -> None:
    provider.gate.clear()
    async with running(provider, clock, timeout=0.2) as known:
        begin = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer("opaque"))
        assert time.monotonic() - begin < 2


async def test_the_log_has_the_reason_and_no_credential(
    provider: Provider, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    provider.status = 401
    environ = {"ID": "the-client", "SECRET": "hidden-one"}
    names: dict[str, Any] = {"client_id_env": "ID", "client_secret_env": "SECRET"}
    async with running(provider, clock, environ=environ, **names) as known:
        with pytest.raises(ServiceUnavailableError) as raised:
            await known.authenticate(bearer("opaque"))
    sent = provider.asked[0].headers["Authorization"].removeprefix("Basic ")
    text = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "the answer has status 401" in text
    for credential in ("opaque", "hidden-one", sent):
        assert credential not in text + raised.value.message
