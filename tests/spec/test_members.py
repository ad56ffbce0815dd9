"""Items of lists, and sections within sections."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
from tests.spec.kit import problems_of, spec_of
from tests.spec.words import (
    CLAIM,
    INSIDE,
    NO_TEXT,
    PATTERN,
    POSITIVE,
    SECRET_NAME,
    TEXT,
    VARIABLE,
    WEB_URL,
    number,
)

JWT: dict[str, Any] = {"mode": "jwt", "jwt": {"jwks_url": "https://id.example/keys"}}
OAUTH2: dict[str, Any] = {
    "mode": "oauth2",
    "oauth2": {"introspection_url": "https://id.example/introspect"},
}
LANGFUSE = {"public_key": "pk", "secret_key": "sk"}

# path of a list, path of the problem below it, words, items that are taken, items that are refused
ITEMS: list[tuple[str, str, str, list[Any], list[Any]]] = [
    ("expose.cors.origins", "[0]", TEXT, ["https://a.example", "*"], NO_TEXT),
    ("expose.cors.methods", "[0]", TEXT, ["GET"], NO_TEXT),
    ("expose.cors.headers", "[0]", TEXT, ["X-A"], NO_TEXT),
    (
        "expose.protocols",
        "[0]",
        "must be one of openai, ag-ui, ai-sdk, a2a, mcp",
        ["mcp"],
        ["grpc", 3, None],
    ),
    ("auth.api_keys.keys", "[0]", "must be a mapping", [], ["A", 3, [], None]),
    ("auth.roles", "[0]", "must be a mapping", [], ["admin", 3, [], None]),
    (
        "auth.trusted_proxies",
        "[0]",
        "must be an IP address or a network such as 10.0.0.0/8",
        ["10.1.2.3/8"],
        ["proxy", "*", "10.0.0.0/33"],
    ),
    ("auth.protect", "[0]", "must be one of metrics, docs, info, schema", ["info"], ["health", 3]),
    ("policies.tools.allowed", "[0]", TEXT, ["search"], NO_TEXT),
    (
        "policies.safety.injection_patterns",
        "[0]",
        PATTERN,
        ["a*", "(?i)sudo", "[[a]"],
        ["[a", "(", "(?P<a>x)(?P<a>y)", "a{2,1}"],
    ),
    ("policies.safety.redact_patterns", "[0]", PATTERN, [r"\d{16}", r"(?<=key )\w+"], ["[a", "*a"]),
    (
        "policies.safety.redact_patterns",
        "[0]",
        "must not match the empty string, or everything would be redacted",
        [],
        [
            "a*",
            "a?",
            "(?:a|)",
            r"\b",
            "^",
            "$",
            r"(?<=key )\w*",
            "(?=a)",
            "(a*)(b*)",
            "(?x) # nothing",
        ],
    ),
    ("secrets.required", "[0]", "must be a mapping", [], ["A", 3, None]),
    (
        "build.include.directories",
        "[0]",
        INSIDE,
        ["a"],
        ["/a", "../a", "a/../..", "~/a", "C:\\a", "..", "\\a"],
    ),
    ("build.include.files", "[0]", INSIDE, ["a"], ["/a", "../a"]),
    ("build.include.patterns", "[0]", INSIDE, ["*"], ["/a", "../*"]),
    ("build.include.files", "[0]", TEXT, [], ["", " ", 3, None]),
    ("build.exclude", "[0]", INSIDE, ["a"], ["../a", "!../a", "a/../b"]),
    ("build.exclude", "[0]", TEXT, [], ["", " ", 3]),
    ("metadata.tags", "[0]", TEXT, ["a"], NO_TEXT),
]

MEMBERS: list[tuple[dict[str, Any], str, str]] = [
    ({"auth.roles": [{"permissions": []}]}, "auth.roles[0].name", "is required"),
    ({"auth.roles": [{"name": "a"}]}, "auth.roles[0].permissions", "is required"),
    ({"auth.roles": [{"name": " ", "permissions": []}]}, "auth.roles[0].name", TEXT),
    (
        {"auth.roles": [{"name": "a", "permissions": ["invoke", "fly"]}]},
        "auth.roles[0].permissions[1]",
        "must be one of deploy, rollback, invoke, view_metrics, key_manage, read_logs, read_docs",
    ),
    ({"auth.api_keys.keys": [{"env_var": "A"}]}, "auth.api_keys.keys[0].name", "is required"),
    ({"auth.api_keys.keys": [{"name": "a"}]}, "auth.api_keys.keys[0].env_var", "is required"),
    (
        {"auth.api_keys.keys": [{"name": "a", "env_var": "a b"}]},
        "auth.api_keys.keys[0].env_var",
        VARIABLE,
    ),
    (
        {"auth.api_keys.keys": [{"name": "a", "env_var": "A", "role": 3}]},
        "auth.api_keys.keys[0].role",
        TEXT,
    ),
    ({"secrets.required": [{"description": "x"}]}, "secrets.required[0].name", "is required"),
    ({"secrets.required": [{"name": "a"}]}, "secrets.required[0].name", SECRET_NAME),
    ({"secrets.optional": [{"name": "1A"}]}, "secrets.optional[0].name", SECRET_NAME),
    ({"secrets.optional": [{"name": "A-B"}]}, "secrets.optional[0].name", SECRET_NAME),
    (
        {"secrets.optional": [{"name": "A", "default": 3}]},
        "secrets.optional[0].default",
        "must be text",
    ),
    (
        {"secrets.optional": [{"name": "A", "description": 3}]},
        "secrets.optional[0].description",
        "must be text",
    ),
    ({"observability.otlp.headers": {"a": 3}}, "observability.otlp.headers.a", TEXT),
    (
        {"observability.langfuse": {"secret_key": "s"}},
        "observability.langfuse.public_key",
        "is required",
    ),
    (
        {"observability.langfuse": {"public_key": "p"}},
        "observability.langfuse.secret_key",
        "is required",
    ),
    ({"observability.langfuse": {**LANGFUSE, "host": "h"}}, "observability.langfuse.host", WEB_URL),
    *[
        (
            {"auth.rate_limits": {"a": rate}},
            "auth.rate_limits.a",
            'must be "<count>/<second|minute|hour|day>", such as 60/minute',
        )
        for rate in (
            "60",
            "0/second",
            "-1/day",
            "1.5/day",
            "60/week",
            "60 / minute",
            "60/minutes",
            f"1{'0' * 400}/minute",
            60,
        )
    ],
    *[
        ({"auth": {**JWT, "jwt": {**JWT["jwt"], name: value}}}, f"auth.jwt.{name}{below}", words)
        for name, value, below, words in [
            ("jwks_url", "id.example/keys", "", WEB_URL),
            ("public_key_env", "a b", "", VARIABLE),
            ("issuer", 3, "", TEXT),
            ("audience", ["a"], "", TEXT),
            ("algorithms", "RS256", "", "must be a list"),
            ("algorithms", [], "", "must not be empty"),
            ("algorithms", ["none"], "[0]", "must be one of RS256, RS384, RS512, ES256"),
            ("leeway_seconds", 301, "", number(0, 300)),
            ("leeway_seconds", -1, "", number(0, 300)),
            ("claims", {"user_id": "a..b"}, ".user_id", CLAIM),
            ("claims", {"tenant_id": ""}, ".tenant_id", CLAIM),
        ]
    ],
    *[
        (
            {"auth": {**OAUTH2, "oauth2": {**OAUTH2["oauth2"], name: value}}},
            f"auth.oauth2.{name}{below}",
            words,
        )
        for name, value, below, words in [
            ("introspection_url", "ftp://x", "", WEB_URL),
            ("client_id_env", "a b", "", VARIABLE),
            ("client_secret_env", "", "", VARIABLE),
            ("required_scopes", [""], "[0]", TEXT),
            ("cache_seconds", 0, "", POSITIVE),
        ]
    ],
    ({"auth": {"mode": "oauth2", "oauth2": {}}}, "auth.oauth2.introspection_url", "is required"),
    *[
        ({path: 3}, path, "must be a mapping")
        for path in (
            "agent",
            "io_schema",
            "expose",
            "streaming",
            "runs",
            "auth",
            "policies",
            "secrets",
            "observability",
            "build",
            "metadata",
            "expose.cors",
            "expose.limits",
            "expose.chat",
            "streaming.id_generator",
            "streaming.events",
            "streaming.connection",
            "streaming.sqlite",
            "streaming.redis",
            "streaming.memory",
            "auth.api_keys",
            "auth.jwt",
            "auth.oauth2",
            "policies.tools",
            "policies.safety",
            "observability.metrics",
            "observability.langfuse",
            "observability.otlp",
            "build.include",
        )
    ],
]

TAKEN = [(path, [value]) for path, _, _, taken, _ in ITEMS for value in taken]
REFUSED = [
    (path, below, words, [value]) for path, below, words, _, refused in ITEMS for value in refused
]


@pytest.mark.parametrize(("path", "items"), TAKEN)
def test_a_list_takes_what_the_contract_allows(path: str, items: list[Any]) -> None:
    assert attrgetter(path)(spec_of({path: items})) == tuple(items)


@pytest.mark.parametrize(("path", "below", "words", "items"), REFUSED)
def test_an_item_that_is_not_allowed_is_named_by_its_index(
    path: str, below: str, words: str, items: list[Any]
) -> None:
    (problem,) = problems_of({path: items})
    assert problem.startswith(f"{path}{below}: {words}")
    assert ", got " in problem


@pytest.mark.parametrize(("parts", "at", "words"), MEMBERS)
def test_what_stands_deeper_is_checked_too(parts: dict[str, Any], at: str, words: str) -> None:
    (problem,) = problems_of(parts)
    assert problem.startswith(f"{at}: {words}")
