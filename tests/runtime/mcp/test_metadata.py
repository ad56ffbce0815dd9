"""Protected resource metadata: a client without a token is led to who issues them, where the Dockfile names it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from mcp.shared.auth import ProtectedResourceMetadata

from dockrion.testing import app_for, request, running

from .kit import calls, echo, sent, served

ISSUER = "https://id.example.com/realms/agents"
AUDIENCE = "audience-of-the-test"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEM", "secret-of-thirty-two-bytes-at-least")
    monkeypatch.setenv("DOCKRION_API_KEY", "key-of-the-test")


def jwt(issuer: str | None = ISSUER) -> dict[str, Any]:
    keys = {"public_key_env": "PEM", "algorithms": ["HS256"], "audience": AUDIENCE}
    return {"mode": "jwt", "jwt": keys if issuer is None else {**keys, "issuer": issuer}}


async def got(app: FastAPI, path: str, **headers: str) -> tuple[int, Any]:
    async with request(app, "GET", path, headers=headers) as exchange:
        body = await exchange.json()
        return exchange.status, body


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
async def test_everybody_is_told_who_issues_tokens(path: str) -> None:
    async with running(served(echo, auth=jwt())) as app:
        status, document = await got(app, path, host="agents.example.com")
        async with request(app, "POST", path) as exchange:
            await exchange.read()
        refused = exchange.status, exchange.headers["allow"]
    assert (status, refused) == (200, (405, "GET"))
    assert document == {
        "resource": "http://agents.example.com/mcp",
        "resource_name": "test",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    }
    ProtectedResourceMetadata.model_validate(document)


async def test_the_paths_are_in_the_document_where_they_are_on() -> None:
    paths = {WELL_KNOWN, f"{WELL_KNOWN}/mcp"}
    assert served(echo, auth=jwt()).openapi()["paths"].keys() & paths == paths
    assert not served(echo, auth=jwt(None)).openapi()["paths"].keys() & paths


async def test_a_call_without_a_token_is_led_there() -> None:
    async with running(served(echo, auth=jwt())) as app:
        status, body, exchange = await sent(app, calls())
        challenge = exchange.headers["www-authenticate"]
        url = f"http://testserver{WELL_KNOWN}/mcp"
        assert challenge == f'Bearer realm="test", resource_metadata="{url}"'
        found, _ = await got(app, url.removeprefix("http://testserver"))
        async with request(app, "POST", "/invoke", body={}) as elsewhere:
            await elsewhere.read()
        assert elsewhere.headers["www-authenticate"] == 'Bearer realm="test"'
    assert (status, found) == (401, 200)
    assert ISSUER not in str(body) + str(exchange.headers)


async def test_the_document_is_below_the_prefix_of_the_app() -> None:
    expose = {"root_path": "/agents/one"}
    async with running(served(echo, auth=jwt(), expose=expose)) as app:
        status, document = await got(app, f"/agents/one{WELL_KNOWN}/mcp")
        _, _, exchange = await sent(app, calls())
    below = "http://testserver/agents/one"
    assert (status, document["resource"]) == (200, f"{below}/mcp")
    assert f'"{below}{WELL_KNOWN}/mcp"' in exchange.headers["www-authenticate"]


@pytest.mark.parametrize(
    "auth",
    [
        {"mode": "api_key"},
        {"mode": "oauth2", "oauth2": {"introspection_url": "https://id.example.com/ask"}},
        jwt(None),
        jwt("the-issuer"),
        jwt(f"{ISSUER}?tenant=1"),
        jwt("https://[broken"),
    ],
    ids=["api_key", "oauth2", "no issuer", "a name", "a query", "no URL"],
)
async def test_nothing_is_said_where_there_is_no_issuer_to_go_to(auth: Any) -> None:
    async with running(served(echo, auth=auth)) as app:
        status, _ = await got(app, WELL_KNOWN)
        refused, _, exchange = await sent(app, calls())
    assert (status, refused) == (404, 401)
    assert "resource_metadata" not in exchange.headers["www-authenticate"]


async def test_an_issuer_that_is_a_secret_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEM", ISSUER)
    async with running(served(echo, auth=jwt())) as app:
        status, _ = await got(app, WELL_KNOWN)
    assert status == 404


async def test_without_mcp_there_is_no_document() -> None:
    async with running(app_for(echo, auth=jwt())) as app:
        status, body = await got(app, WELL_KNOWN)
    assert status == 404
    assert ISSUER not in str(body)
