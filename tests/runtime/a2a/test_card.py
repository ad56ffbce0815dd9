"""The agent card."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.compat.v0_3.types import AgentCard as LegacyCard
from a2a.types.a2a_pb2 import AgentCard
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.json_format import ParseDict

from dockrion.testing import ScriptedAgent, post, request, running

from .kit import NUMBERS, ask, said, served

CARD = "/.well-known/agent-card.json"
LEGACY_FIELDS = ("url", "preferredTransport", "protocolVersion", "security")


async def card_of(app: Any, path: str = CARD, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with request(app, "GET", path, headers=named) as exchange:
        return await exchange.json()


def read_card(card: dict[str, Any]) -> AgentCard:
    """Read it as 1.0, strictly, without what it has for 0.3."""
    kept = {name: value for name, value in card.items() if name not in LEGACY_FIELDS}
    schemes = kept.get("securitySchemes", {})
    for name, scheme in schemes.items():
        schemes[name] = {key: scheme[key] for key in scheme if key.endswith("SecurityScheme")}
    read = ParseDict(kept, AgentCard())
    validate_proto_required_fields(read)
    return read


@pytest.mark.parametrize(
    ("auth", "schemes"),
    [
        (None, []),
        ({"mode": "api_key"}, ["APIKeyHeader", "BearerAuth"]),
        ({"mode": "api_key", "api_keys": {"allow_bearer": False}}, ["APIKeyHeader"]),
        (
            {"mode": "jwt", "jwt": {"public_key_env": "PEM", "algorithms": ["HS256"]}},
            ["BearerAuth"],
        ),
    ],
)
async def test_clients_of_both_versions_read_the_card(
    auth: Any, schemes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "right")
    monkeypatch.setenv("PEM", "secret-of-thirty-two-bytes-at-least")
    app = served(ScriptedAgent(), **({} if auth is None else {"auth": auth}))
    async with running(app):
        card = await card_of(app)
    legacy = LegacyCard.model_validate(card)
    assert (legacy.url, legacy.preferred_transport) == ("http://testserver/a2a", "JSONRPC")
    assert [next(iter(one)) for one in legacy.security or []] == schemes
    assert set(parse_agent_card(deepcopy(card)).security_schemes) == {*schemes}
    read = read_card(card)
    assert [one.protocol_version for one in read.supported_interfaces] == ["1.0", "0.3"]
    assert {one.url for one in read.supported_interfaces} == {"http://testserver/a2a"}
    assert set(read.security_schemes) == {*schemes}
    assert [list(one.schemes) for one in read.security_requirements] == [[one] for one in schemes]


async def test_the_card_says_what_the_dockfile_says() -> None:
    metadata = {"version": "4.2", "tags": ["money", "bills"]}
    agent = {"name": "bills", "handler": "a:b", "description": "Pays them."}
    app = served(ScriptedAgent(), metadata=metadata, agent=agent, io_schema=NUMBERS)
    async with running(app):
        card = await card_of(app)
    assert (card["name"], card["description"], card["version"]) == ("bills", "Pays them.", "4.2")
    assert card["skills"][0]["tags"] == ["money", "bills"]
    assert card["defaultInputModes"] == ["application/json"]


async def test_the_card_says_what_an_agent_takes() -> None:
    """Files go to those that get whole messages."""
    one = {"properties": {"text": {"type": "string"}}, "required": ["text"]}
    messages = {"properties": {"messages": {"type": "array", "items": {}}}}
    text, json = "text/plain", "application/json"
    for schema, modes in (
        (NUMBERS["input"], [json]),
        (one, [text, json]),
        (messages, [text, json, "*/*"]),
    ):
        async with running(served(ScriptedAgent(), io_schema={"input": schema})) as app:
            assert (await card_of(app))["defaultInputModes"] == modes
            picture = said(parts=[{"raw": "aGk=", "mediaType": "image/x-of-the-test"}])
            answer = await ask(app, picture)
            assert ("result" in answer) == ("*/*" in modes)
            assert "result" in answer or answer["error"]["code"] == -32005


@pytest.mark.parametrize(
    ("headers", "url"),
    [
        ({"host": "a.example:8443"}, "http://a.example:8443/a2a"),
        ({"x_forwarded_proto": "https"}, "https://testserver/a2a"),
        (
            {"x_forwarded_proto": "https, http", "x_forwarded_host": "b.example"},
            "https://b.example/a2a",
        ),
        ({"x_forwarded_proto": "javascript", "x_forwarded_host": "a/b"}, "http://testserver/a2a"),
        ({"host": "[::1]:80"}, "http://[::1]:80/a2a"),
    ],
)
async def test_the_card_has_the_url_that_its_caller_can_use(
    headers: dict[str, str], url: str
) -> None:
    async with running(served(ScriptedAgent())) as app:
        assert (await card_of(app, **headers))["url"] == url


@pytest.mark.parametrize("sent", ["", "/agents/a"])
async def test_the_card_has_the_prefix_of_the_app(sent: str) -> None:
    app = served(ScriptedAgent(), expose={"root_path": "/agents/a"})
    async with running(app):
        assert (await card_of(app, f"{sent}{CARD}"))["url"] == "http://testserver/agents/a/a2a"


async def test_a_card_that_has_not_changed_is_not_sent_again() -> None:
    async with running(served(ScriptedAgent())) as app:
        async with request(app, "GET", CARD) as first:
            body = await first.read()
        tag = {"if-none-match": f'"x", W/{first.headers["etag"]}'}
        async with request(app, "GET", CARD, headers=tag) as again:
            nothing = await again.read()
        async with request(app, "HEAD", CARD) as head:
            empty = await head.read()
        async with post(app, CARD, {}) as posted:
            await posted.read()
    assert (first.status, again.status, head.status, posted.status) == (200, 304, 200, 405)
    assert (nothing, empty) == (b"", b"")
    assert head.headers["content-length"] == str(len(body))
