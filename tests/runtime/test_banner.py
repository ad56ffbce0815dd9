"""The banner, and the payload that its curl line sends."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.runtime.banner import banner, base_url
from dockrion.spec import DockSpec


def spec(**sections: Any) -> DockSpec:
    minimal: dict[str, Any] = {
        "version": "1.0",
        "agent": {"name": "echo", "handler": "service:answer"},
        "io_schema": {},
        "expose": {},
    }
    return DockSpec.model_validate({**minimal, **sections})


def test_it_says_the_agent_the_page_and_a_curl_line() -> None:
    text = banner(spec(), host="0.0.0.0", port=8080, seconds=0.4)

    assert "echo is ready after 0.40 s" in text
    assert "http://localhost:8080/\n" in text
    assert "curl -N -X POST http://localhost:8080/invoke/stream" in text


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://localhost:81"),
        ("::", "http://localhost:81"),
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("::1", "http://[::1]:81"),
        ("agents.example.com", "http://agents.example.com:81"),
    ],
)
def test_the_address_is_one_that_a_caller_can_use(host: str, url: str) -> None:
    assert base_url(host, 81) == url


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({}, "-H 'X-API-Key: <key>' "),
        ({"api_keys": {"header": "X-It's"}}, """-H 'X-It'"'"'s: <key>' """),
        ({"mode": "jwt", "jwt": {"public_key_env": "K"}}, "-H 'Authorization: Bearer <token>' "),
        ({"mode": "none"}, ""),
        ({"api_keys": {"enabled": False}}, ""),
    ],
)
def test_the_line_has_the_header_that_callers_fill_in(auth: dict[str, Any], header: str) -> None:
    text = banner(spec(auth=auth), host="127.0.0.1", port=8080, seconds=0.4)
    assert f"/invoke/stream {header}-H 'Content-Type" in text


def test_it_names_the_socket_and_no_call_that_is_not_there() -> None:
    both = banner(
        spec(expose={"streaming": ["sse", "websocket"]}), host="::1", port=8080, seconds=0
    )
    assert "  socket  ws://[::1]:8080/invoke/ws\n" in both
    assert "/invoke/stream" in both

    alone = spec(expose={"streaming": "websocket", "rest": False})
    text = banner(alone, host="127.0.0.1", port=8080, seconds=0)
    assert "  socket  ws://127.0.0.1:8080/invoke/ws\n" in text
    assert "call" not in text


def test_it_says_where_other_protocols_are() -> None:
    text = banner(
        spec(expose={"rest": False, "streaming": "none", "protocols": ["mcp", "openai", "a2a"]}),
        host="0.0.0.0",
        port=8080,
        seconds=0,
    )

    assert text.splitlines()[2:] == [
        "  page    http://localhost:8080/",
        "  mcp     http://localhost:8080/mcp",
        "  openai  http://localhost:8080/v1",
        "  a2a     http://localhost:8080/.well-known/agent-card.json",
        "  stop    Ctrl-C",
    ]
