"""What every authenticator must do; one suite, all implementations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator

import pytest

from dockrion.auth import endpoint
from dockrion.auth.base import Authenticator, Headers
from dockrion.auth.jwt import JwtAuthenticator
from dockrion.auth.oauth2 import OAuth2Authenticator
from dockrion.errors import AuthError, PermissionDeniedError
from dockrion.spec.auth import JwtSpec, OAuth2Spec
from tests.auth.provider import Provider, running_provider
from tests.auth.tokens import NOW, bearer, jwk, public_pem, rsa_key, signed


def _jwt(provider: Provider) -> Authenticator:
    environ = {"KEY": public_pem(rsa_key())}
    return JwtAuthenticator(JwtSpec(public_key_env="KEY"), environ, now=lambda: NOW)


def _jwks(provider: Provider) -> Authenticator:
    provider.answer({"keys": [jwk(rsa_key())]})
    return JwtAuthenticator(JwtSpec(jwks_url=provider.url), {}, now=lambda: NOW)


def _oauth2(provider: Provider) -> Authenticator:
    provider.answer({"active": True, "sub": "ada"})
    return OAuth2Authenticator(OAuth2Spec(introspection_url=provider.url), {}, now=lambda: NOW)


MADE: dict[str, Callable[[Provider], Authenticator]] = {
    "jwt": _jwt,
    "jwt, published keys": _jwks,
    "oauth2": _oauth2,
}
GOOD: Headers = bearer(signed())


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(params=MADE.values(), ids=list(MADE))
async def known(
    provider: Provider, request: pytest.FixtureRequest
) -> AsyncGenerator[Authenticator]:
    instance: Authenticator = request.param(provider)
    await instance.start()
    yield instance
    await instance.close()


async def test_whoever_has_a_credential_is_known_by_one_id(known: Authenticator) -> None:
    first, second = [await known.authenticate(GOOD) for _ in range(2)]
    assert first == second
    assert first.id == "ada"
    assert first.auth_method in ("jwt", "oauth2")


async def test_headers_that_are_not_about_credentials_do_not_matter(known: Authenticator) -> None:
    more = [(b"accept", b"*/*"), *GOOD, (b"cookie", b"a=b"), (b"accept", b"text/html")]
    assert await known.authenticate(more) == await known.authenticate(GOOD)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b" ")],
        [(b"authorization", b"\xff\xfe\x00")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer " + b"\xc3\xa9" * 20_000)],
        [*GOOD, *GOOD],
        [*GOOD, (b"authorization", b"Basic YTpi")],
        [(b"authorization", GOOD[0][1] + b", " + GOOD[0][1])],
    ],
    ids=lambda headers: str(headers)[:40],
)
async def test_a_bad_credential_is_401_and_not_repeated(
    known: Authenticator, headers: Headers
) -> None:
    with pytest.raises(AuthError) as raised:
        await known.authenticate(headers)
    assert not isinstance(raised.value, PermissionDeniedError)
    assert raised.value.status == 401
    assert raised.value.message.isascii()
    assert "eyJ" not in raised.value.message


async def test_nothing_has_to_be_closed_before_the_start(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object, **__: object) -> None:
        pytest.fail("a client is open")

    monkeypatch.setattr(endpoint.httpx2, "AsyncClient", opened)
    for make in MADE.values():
        await make(provider).close()


async def test_the_start_waits_for_no_other_host_and_the_end_for_no_answer(
    provider: Provider,
) -> None:
    for make in MADE.values():
        instance = make(provider)
        provider.gate.clear()
        await instance.start()
        await instance.close()
