"""Keys, identity providers and collectors of traces: there, and answering as they should."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dockrion.doctor.auth import look_at_auth
from dockrion.doctor.base import Status, ok
from dockrion.doctor.telemetry import look_at_telemetry
from tests.auth.provider import Provider, running_provider
from tests.auth.tokens import ec_key, jwk, rsa_key

from .conftest import MakeCase, only, problems

KEYS = {"mode": "api_key"}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


def _jwt(url: str) -> dict[str, Any]:
    return {"mode": "jwt", "jwt": {"jwks_url": url}}


def _oauth2(url: str) -> dict[str, Any]:
    names = {"client_id_env": "CLIENT_ID", "client_secret_env": "CLIENT_SECRET"}
    return {"mode": "oauth2", "oauth2": {"introspection_url": url, **names}}


async def test_an_open_server_for_everybody_is_a_warning(make_case: MakeCase) -> None:
    assert "every web page" in only(await look_at_auth(make_case())).message
    assert not problems(await look_at_auth(make_case(expose={"host": "127.0.0.1"})))


async def test_keys_are_told_by_the_names_of_their_variables(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = only(await look_at_auth(make_case(auth=KEYS)))
    assert "DOCKRION_API_KEY is not set" in found.message

    monkeypatch.setenv("DOCKRION_API_KEY", "a-key-of-somebody")
    assert await look_at_auth(make_case(auth=KEYS)) == [ok("API keys: DOCKRION_API_KEY")]


async def test_a_key_server_that_has_keys_is_sound(make_case: MakeCase, provider: Provider) -> None:
    provider.answer({"keys": [jwk(rsa_key())]})

    assert await look_at_auth(make_case(auth=_jwt(provider.url))) == [
        ok(f"jwt: {provider.url} has 1 keys that fit")
    ]


async def test_keys_of_another_kind_do_not_fit(make_case: MakeCase, provider: Provider) -> None:
    provider.answer({"keys": [jwk(ec_key())]})

    assert "fits RS256" in only(await look_at_auth(make_case(auth=_jwt(provider.url)))).message


async def test_a_key_server_that_is_away_is_told_without_its_login(
    make_case: MakeCase, provider: Provider
) -> None:
    url = provider.url.replace("://", "://user:word-of-pass@")
    provider.stop()

    found = only(await look_at_auth(make_case(auth=_jwt(url))))

    assert found.status is Status.ERROR
    assert f"{provider.url} gives no keys: ConnectError" in found.message
    assert "word-of-pass" not in repr(found)


async def test_introspection_is_asked_with_the_credentials_of_this_server(
    make_case: MakeCase, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_ID", "this")
    monkeypatch.setenv("CLIENT_SECRET", "secret-of-this")
    provider.answer({"active": False})
    case = make_case(auth=_oauth2(provider.url))

    assert await look_at_auth(case) == [ok(f"oauth2: {provider.url} answers")]
    assert provider.asked[0].headers["Authorization"].startswith("Basic ")

    provider.answer({}, status=401)
    refused = only(await look_at_auth(case))
    assert "client_secret_env" in (refused.hint or "")

    provider.answer({"hello": "world"})
    assert "not as RFC 7662 says" in only(await look_at_auth(case)).message


async def test_traces_may_go_nowhere(make_case: MakeCase) -> None:
    assert not problems(await look_at_telemetry(make_case()))


async def test_a_collector_gets_an_empty_message_and_its_headers(
    make_case: MakeCase, provider: Provider
) -> None:
    base = provider.url.removesuffix("/asked")
    otlp = {"endpoint": base, "headers": {"X-Team": "agents"}}

    findings = await look_at_telemetry(make_case(observability={"otlp": otlp}))

    assert findings == [ok(f"otlp: {base}/v1/traces takes traces")]
    assert provider.asked[0].method == "POST"
    assert provider.asked[0].headers["X-Team"] == "agents"
    assert provider.asked[0].headers["Content-Type"] == "application/x-protobuf"


async def test_a_collector_of_the_environment_counts(
    make_case: MakeCase, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", provider.url.removesuffix("/asked"))

    assert not problems(await look_at_telemetry(make_case()))
    assert len(provider.asked) == 1


async def test_variables_that_are_wrong_are_told(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

    assert "must be http/protobuf" in only(await look_at_telemetry(make_case())).message


@pytest.mark.parametrize(
    ("status", "said"),
    [(401, "refuses the credentials"), (404, "nothing there"), (503, "answers 503")],
)
async def test_what_a_collector_refuses_is_told(
    make_case: MakeCase, provider: Provider, status: int, said: str
) -> None:
    provider.answer({}, status=status)
    langfuse = {
        "public_key": "pk-1234",
        "secret_key": "sk-abcdef",
        "host": provider.url.removesuffix("/asked"),
    }

    found = only(await look_at_telemetry(make_case(observability={"langfuse": langfuse})))

    assert said in found.message
    assert "sk-abcdef" not in repr(found)


async def test_a_collector_that_is_away_is_an_error(
    make_case: MakeCase, provider: Provider
) -> None:
    provider.stop()
    otlp = {"endpoint": provider.url}

    found = only(await look_at_telemetry(make_case(observability={"otlp": otlp})))

    assert "cannot be reached" in found.message
    assert "4318" in (found.hint or "")
