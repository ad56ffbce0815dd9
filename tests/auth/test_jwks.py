"""The published keys of an issuer, served by a real server: rotation, outage, flood, nonsense."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dockrion.auth import jwks
from dockrion.auth.endpoint import MAX_ANSWER_BYTES, Endpoint
from dockrion.auth.jwt import JwtAuthenticator
from dockrion.errors import AuthError, ServiceUnavailableError
from dockrion.spec.auth import JwtSpec
from tests.auth.clock import Clock
from tests.auth.provider import Provider, running_provider
from tests.auth.tokens import (
    CLAIMS,
    NOW,
    SECRET,
    bearer,
    ec_key,
    forged,
    jwk,
    public_pem,
    rsa_key,
    segment,
    signed,
)


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        provider.answer({"keys": [jwk(rsa_key())]})
        yield provider


@asynccontextmanager
async def running(
    provider: Provider,
    clock: Clock,
    *,
    timeout: float = 4,
    algorithms: tuple[str, ...] = ("RS256", "ES256"),
) -> AsyncGenerator[JwtAuthenticator]:
    endpoint = Endpoint(provider.url, field="auth.jwt.jwks_url", timeout=timeout)
    keys = jwks.Jwks(endpoint, algorithms, clock=clock)
    spec = JwtSpec(jwks_url=provider.url, algorithms=algorithms)
    known = JwtAuthenticator(spec, {}, now=lambda: NOW, keys=keys)
    await known.start()
    try:
        yield known
    finally:
        await known.close()


async def gets_in(known: JwtAuthenticator, token: str) -> bool:
    return (await known.authenticate(bearer(token))).id == "ada"


async def test_keys_are_fetched_once(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        for _ in range(5):
            assert await gets_in(known, signed(kid="k1"))
    assert len(provider.asked) == 1


async def test_the_start_waits_for_nobody(provider: Provider, clock: Clock) -> None:
    provider.gate.clear()
    begin = time.monotonic()
    async with running(provider, clock):
        assert time.monotonic() - begin < 1


async def test_an_authenticator_is_made_of_its_section_alone(provider: Provider) -> None:
    known = JwtAuthenticator(JwtSpec(jwks_url=provider.url), {}, now=lambda: NOW)
    await known.start()
    assert await gets_in(known, signed(kid="k1"))
    await known.close()


async def test_a_new_key_is_found_when_it_shows_up(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        provider.answer({"keys": [jwk(rsa_key("second"), "k2")]})
        clock.now = 11
        assert await gets_in(known, signed(key=rsa_key("second"), kid="k2"))
        with pytest.raises(AuthError, match="no key is known for it"):
            await known.authenticate(bearer(signed(kid="k1")))
    assert len(provider.asked) == 2


async def test_a_new_key_is_found_for_tokens_that_name_none(
    provider: Provider, clock: Clock
) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed())
        provider.answer({"keys": [jwk(rsa_key("second"), "k2")]})
        clock.now = 11
        assert await gets_in(known, signed(key=rsa_key("second")))


async def test_a_flood_of_unknown_keys_is_one_request(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        clock.now = 11
        flood = [known.authenticate(bearer(signed(kid=f"made-up-{n}"))) for n in range(50)]
        answers = await asyncio.gather(*flood, return_exceptions=True)
        assert {type(answer) for answer in answers} == {AuthError}
        for second in range(11, 21):
            clock.now = second
            with pytest.raises(AuthError, match="no key is known for it"):
                await known.authenticate(bearer(signed(kid="made-up")))
        assert len(provider.asked) == 2
        clock.now = 21
        with pytest.raises(AuthError):
            await known.authenticate(bearer(signed(kid="made-up")))
    assert len(provider.asked) == 3


async def test_a_wrong_signature_by_a_known_key_asks_nobody(
    provider: Provider, clock: Clock
) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        clock.now = 100
        with pytest.raises(AuthError, match="its signature is wrong"):
            await known.authenticate(bearer(signed(key=rsa_key("attacker"), kid="k1")))
    assert len(provider.asked) == 1


async def test_callers_who_wait_for_the_first_keys_wait_for_one_request(
    provider: Provider, clock: Clock
) -> None:
    provider.gate.clear()
    async with running(provider, clock) as known, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(gets_in, known, signed(kid="k1"))
        await anyio.wait_all_tasks_blocked()
        provider.gate.set()
    assert len(provider.asked) == 1


async def test_a_caller_who_leaves_does_not_stop_the_others(
    provider: Provider, clock: Clock
) -> None:
    provider.gate.clear()
    async with running(provider, clock) as known:
        leaving = asyncio.create_task(gets_in(known, signed(kid="k1")))
        staying = asyncio.create_task(gets_in(known, signed(kid="k1")))
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await asyncio.wait({leaving})
        provider.gate.set()
        assert await staying
    assert len(provider.asked) == 1


async def test_nobody_gets_in_before_there_are_keys(provider: Provider, clock: Clock) -> None:
    provider.stop()
    async with running(provider, clock) as known:
        for second in range(3):
            clock.now = second * 2
            with pytest.raises(ServiceUnavailableError, match="not available"):
                await known.authenticate(bearer(signed(kid="k1")))
        provider.headers = {}
        provider.start()
        clock.now = 10
        assert await gets_in(known, signed(kid="k1"))


@pytest.mark.parametrize("fails_at", ["the start", "a renewal"])
async def test_keys_that_cannot_be_read_are_as_good_as_no_answer(
    provider: Provider,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails_at: str,
) -> None:
    def broken(*_: Any) -> Any:
        raise OverflowError("a number of the key set")

    async with running(provider, clock) as known:
        if fails_at == "a renewal":
            assert await gets_in(known, signed(kid="k1"))
        with monkeypatch.context() as patch:
            patch.setattr(jwks, "keys_from_set", broken)
            clock.now = 11
            with pytest.raises(ServiceUnavailableError):
                await known.authenticate(bearer(signed(kid="k2")))
        assert "keys for tokens not renewed" in caplog.text
        clock.now = 22
        assert await gets_in(known, signed(kid="k1"))


async def test_a_slow_issuer_is_not_waited_for(provider: Provider, clock: Clock) -> None:
    provider.gate.clear()
    async with running(provider, clock, timeout=0.2) as known:
        begin = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(signed(kid="k1")))
        assert time.monotonic() - begin < 2


async def test_an_issuer_that_drips_is_not_waited_for(provider: Provider, clock: Clock) -> None:
    provider.drips = True
    provider.body = b" " * 1000 + provider.body
    async with running(provider, clock, timeout=0.2) as known:
        begin = time.monotonic()
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(signed(kid="k1")))
        assert time.monotonic() - begin < 4


def test_the_limit_of_the_wait_is_below_five_seconds() -> None:
    assert Endpoint.__init__.__kwdefaults__ == {"timeout": 4.0}


async def test_keys_outlive_an_outage(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        provider.stop()
        for hours in (1, 5, 23):
            clock.now = hours * 3600
            assert await gets_in(known, signed(kid="k1"))
        with pytest.raises(ServiceUnavailableError, match="could not be renewed"):
            await known.authenticate(bearer(signed(kid="k2")))
        clock.now = 25 * 3600
        with pytest.raises(ServiceUnavailableError, match="not available"):
            await known.authenticate(bearer(signed(kid="k1")))


async def test_withdrawn_keys_are_found_out_in_the_background(
    provider: Provider, clock: Clock
) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        provider.answer({"keys": [jwk(rsa_key("second"), "k2")]})
        clock.now = 301
        assert await gets_in(known, signed(kid="k1"))
        with anyio.fail_after(5):
            while len(provider.asked) < 2 or not known_only_the_second(known):
                await anyio.sleep(0.01)
        with pytest.raises(AuthError):
            await known.authenticate(bearer(signed(kid="k1")))


def known_only_the_second(known: JwtAuthenticator) -> bool:
    keys: Any = known._keys
    return [key.kid for key in keys._keys._keys] == ["k2"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"keys"',
        b'{"keys": {}}',
        b'{"keys": [null, 1, [], {}]}',
        b"[" * 5000,
        b'{"keys": [], "a": "' + b"a" * MAX_ANSWER_BYTES + b'"}',
    ],
    ids=lambda body: body[:20],
)
async def test_an_answer_that_is_no_key_set_keeps_everybody_out(
    provider: Provider, clock: Clock, body: bytes
) -> None:
    provider.body = body
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(signed(kid="k1")))


@pytest.mark.parametrize("status", [204, 302, 401, 404, 500, 503])
async def test_an_answer_with_another_status_does_not_count(
    provider: Provider, clock: Clock, status: int
) -> None:
    provider.status = status
    provider.headers = {"Location": provider.url}
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(signed(kid="k1")))
    assert len(provider.asked) == 1


async def test_keys_stay_when_an_answer_makes_no_sense(provider: Provider, clock: Clock) -> None:
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))
        provider.answer({"keys": []})
        clock.now = 11
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(signed(kid="k2")))
        assert await gets_in(known, signed(kid="k1"))


GOOD = jwk(rsa_key())


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": segment(SECRET.encode()), "kid": "k1"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k1"},
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), key_ops=["encrypt"]),
        jwk(rsa_key(), key_ops="verify"),
        jwk(rsa_key(), alg="RS512"),
        {**GOOD, "kid": 1},
        jwk(rsa_key("weak", 1024)),
        {**GOOD, "n": 5},
        {**GOOD, "n": "!"},
        {**GOOD, "n": ""},
        {**GOOD, "e": None},
        {**GOOD, "kty": "EC"},
        {**GOOD, "kty": ["RSA"]},
        {name: GOOD[name] for name in ("kty", "kid")},
        jwk(ec_key(bits=384)),
        {**jwk(ec_key()), "crv": "P-384"},
        {**jwk(ec_key()), "x": "AA"},
        {**jwk(ec_key()), "x": segment(b"\1" * 32)},
    ],
)
async def test_a_key_of_no_use_is_passed_over(
    provider: Provider, clock: Clock, key: dict[str, Any]
) -> None:
    provider.answer({"keys": [key, jwk(rsa_key("other"), "other")]})
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(key=rsa_key("other"), kid="other"))
        for token in (
            signed(kid="k1"),
            signed(key=ec_key(), algorithm="ES256", kid="k1"),
            forged({"alg": "RS256", "kid": "k1"}, CLAIMS, SECRET.encode()),
        ):
            with pytest.raises(AuthError):
                await known.authenticate(bearer(token))


async def test_a_key_is_not_used_for_another_kind_of_signature(
    provider: Provider, clock: Clock
) -> None:
    provider.answer({"keys": [jwk(rsa_key(), "rsa"), jwk(ec_key(), "ec")]})
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="rsa"))
        assert await gets_in(known, signed(key=ec_key(), algorithm="ES256", kid="ec"))
        for token in (
            signed(kid="ec"),
            signed(key=ec_key(), algorithm="ES256", kid="rsa"),
            forged({"alg": "HS256", "kid": "rsa"}, CLAIMS, public_pem(rsa_key()).encode()),
        ):
            with pytest.raises(AuthError):
                await known.authenticate(bearer(token))


async def test_a_private_key_that_was_published_proves_like_its_public_half(
    provider: Provider, clock: Clock
) -> None:
    whole = {**GOOD, "d": "AQAB", "p": "AQAB"}
    provider.answer({"keys": [whole]})
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="k1"))


async def test_keys_without_an_id_prove_tokens_with_one(provider: Provider, clock: Clock) -> None:
    provider.answer({"keys": [jwk(rsa_key("other"), None), jwk(rsa_key(), None)]})
    async with running(provider, clock) as known:
        assert await gets_in(known, signed(kid="whatever"))


async def test_a_key_named_in_the_header_is_never_fetched(provider: Provider, clock: Clock) -> None:
    with running_provider() as attacker:
        attacker.answer({"keys": [jwk(rsa_key("attacker"), "evil")]})
        async with running(provider, clock) as known:
            token = signed(key=rsa_key("attacker"), kid="evil", jku=attacker.url, x5u=attacker.url)
            with pytest.raises(AuthError):
                await known.authenticate(bearer(token))
        assert not attacker.asked


async def test_the_log_has_the_reason_and_no_credential(
    provider: Provider, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    provider.url = provider.url.replace("http://", "http://user:pass-word@")
    provider.status = 500
    token = signed(kid="k1")
    async with running(provider, clock) as known:
        with pytest.raises(ServiceUnavailableError):
            await known.authenticate(bearer(token))
    assert provider.asked[0].headers["Authorization"].startswith("Basic ")
    text = "".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert "the answer has status 500" in text
    assert "pass-word" not in text
    assert not any(part in text for part in token.split("."))
