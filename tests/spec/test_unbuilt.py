"""What the file switches on and this release does not carry yet."""

from __future__ import annotations

from typing import Any

import pytest
from tests.spec.kit import spec_of

from dockrion.spec import unbuilt_features
from dockrion.spec.unbuilt import ROWS

SWITCHED_ON: list[tuple[dict[str, Any], list[str]]] = [
    ({"expose.streaming": "websocket"}, ["expose.streaming: websocket"]),
    ({"expose.streaming": ["sse", "websocket"]}, ["expose.streaming: websocket"]),
]

NOTHING: list[dict[str, Any]] = [
    {},
    {"agent.framework": "custom"},
    {"agent.framework": "langgraph", "streaming.events.nodes": ["a"]},
    {"agent.framework": "langchain"},
    {"expose.streaming": "sse"},
    {"expose.streaming": "websocket"},
    {"expose.streaming": ["sse", "websocket"]},
    {"expose.streaming": "none"},
    {"expose.protocols": []},
    {"expose.protocols": ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"], "expose.chat": {}},
    {
        "expose.chat": None,
        "expose.root_path": None,
        "expose.cors": None,
        "runs": {"concurrency": 2},
    },
    {"expose.limits": {"max_concurrency": 3, "max_queue": 5, "block_warning_ms": 50}},
    {"expose": {"cors": {"origins": ["https://a.example"]}, "root_path": "/a"}},
    {"streaming.async_runs": False},
    {"streaming.async_runs": True},
    {"streaming.backend": "memory"},
    {"streaming.backend": "sqlite", "streaming.worker": False},
    {"streaming.sqlite": {}, "streaming.redis": {}, "streaming.memory": {}},
    {"streaming.id_generator": {"type": "uuid"}},
    {"streaming.id_generator": {"type": "custom", "handler": "a:b"}},
    {"streaming.events": {"allowed": "chat", "heartbeat_interval": 5}},
    {"streaming.connection": {"on_disconnect": "cancel", "resume_window": 5}},
    {"streaming.connection.on_disconnect": "continue"},
    {"auth": {"mode": "none"}},
    {"auth": None, "policies": {}},
    {"policies.tools": {"allowed": ["search"], "deny_by_default": False}},
    {"secrets": {"required": [{"name": "A"}]}},
    {"observability": {"log_level": "debug", "metrics": {"cost": False}, "tracing": False}},
    {"observability": {"metrics": {"latency": True, "tokens": False}}},
    {"observability": {"metrics": {"cost": True}, "tracing": True, "otlp": {}}},
    {"observability.langfuse": {"public_key": "a", "secret_key": "b"}},
    {"auth": {}},
    {"auth.api_keys.enabled": False},
    {"auth": {"mode": "jwt", "jwt": {"public_key_env": "K"}}},
    {"auth": {"mode": "oauth2", "oauth2": {"introspection_url": "https://a.example"}}},
    {"auth": {"protect": ["docs"], "roles": [{"name": "a", "permissions": ["invoke"]}]}},
    {"auth": {"mode": "none", "rate_limits": {"default": "1/minute"}}},
    {"arguments": {"timeout_sec": 3}, "metadata": {"tags": ["a"]}, "build": {}},
]


@pytest.mark.parametrize(("parts", "features"), SWITCHED_ON)
def test_what_the_file_switches_on_is_a_line_each(
    parts: dict[str, Any], features: list[str]
) -> None:
    lines = [f"{feature} is not available in this release" for feature in features]
    assert unbuilt_features(spec_of(parts)) == lines


@pytest.mark.parametrize("parts", NOTHING)
def test_defaults_and_what_is_built_do_not_count(parts: dict[str, Any]) -> None:
    assert unbuilt_features(spec_of(parts)) == []


def test_the_table_of_this_test_covers_every_row() -> None:
    assert {row.path for row in ROWS} == {
        feature.split(": ")[0] for _, features in SWITCHED_ON for feature in features
    }
