"""Every field of the Dockfile: what it takes, what it refuses and with which words."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
from tests.spec.kit import problems_of, spec_of
from tests.spec.words import (
    FLAG,
    NO_FLAG,
    NO_LIST,
    NO_TEXT,
    POSITIVE,
    STREAMING,
    TARGET,
    TEXT,
    VARIABLE,
    WEB_URL,
    not_number,
    not_whole,
    number,
    whole,
)

# path, words of the refusal, values that are taken, values that are refused
FIELDS: list[tuple[str, str, list[Any], list[Any]]] = [
    (
        "version",
        'must be the text "1.0", in quotes',
        ["1.0"],
        [1.0, 1, "1", "1.0.0", "2.0", [], {}],
    ),
    (
        "agent.name",
        "must be lower-case letters, digits and hyphens, with a letter first",
        ["a", "my-agent-2", "a-"],
        ["A", "1a", "-a", "a_b", "a b", "a\n", "ä", "", 3, True, []],
    ),
    (
        "agent.handler",
        TARGET,
        ["m:f", "a.b.c:d", "_a._b:_c", "ünï.cöde:f"],
        [
            "m",
            "m:",
            ":f",
            "m:f:g",
            "a..b:f",
            ".a:f",
            "a.:f",
            "a-b:f",
            "a:b.c",
            "a:b c",
            "1a:f",
            3,
            "",
        ],
    ),
    ("agent.entrypoint", TARGET, ["m:f"], ["m", "a:b.c", 3, []]),
    (
        "agent.framework",
        "must be one of custom, langchain, langgraph",
        ["langgraph", "langchain", "custom"],
        ["LangGraph", "crewai"],
    ),
    ("agent.framework", TEXT, [], [3, True, "", []]),
    ("agent.description", "must be text", ["", "Says it again."], [3, True, [], {}]),
    (
        "io_schema.input",
        "must be a mapping (a JSON Schema)",
        [{}, {"type": "object"}],
        [True, "x", [], 3],
    ),
    ("io_schema.output", "must be a mapping (a JSON Schema)", [{}], [True, "x", [], 3]),
    (
        "io_schema.strict",
        "must be true, false or enforce",
        [True, False, "enforce"],
        ["true", "yes", 1, 0, []],
    ),
    ("expose.rest", FLAG, [True, False], NO_FLAG),
    (
        "expose.streaming",
        STREAMING,
        ["sse", "websocket", "none", [], ["sse"], ["websocket", "sse"], ["sse", "sse"]],
        ["ws", "SSE", False, True, 3, ["none"], ["sse", "none"], ["sse", 3], [[]], {}],
    ),
    ("expose.port", whole(1, 65535), [1, 65535, 8080], [0, 65536, -1, "8080", 80.0, True, [], {}]),
    ("expose.host", TEXT, ["127.0.0.1", "::", "localhost"], NO_TEXT),
    ("expose.cors.credentials", FLAG, [False], NO_FLAG),
    (
        "expose.protocols",
        "must be a list",
        [[], ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"]],
        NO_LIST,
    ),
    ("expose.limits.max_body_bytes", whole(1), [1], not_whole(1)),
    ("expose.limits.max_concurrency", whole(0), [0, 5], not_whole(0)),
    ("expose.limits.max_queue", whole(1), [1], not_whole(1)),
    ("expose.limits.threads", whole(1), [1], not_whole(1)),
    ("expose.limits.write_timeout", POSITIVE, [0.1, 1, 600], [0, -1, "1", True, float("nan"), []]),
    ("expose.limits.max_output_bytes", whole(1), [1], not_whole(1)),
    ("expose.limits.block_warning_ms", POSITIVE, [0.5, 10], [0, -1, "1", True, []]),
    ("expose.shutdown_grace", POSITIVE, [0.5, 10], [0, -1, "1", True, []]),
    (
        "expose.root_path",
        "must be a path such as /agents/echo, without a slash at its end",
        ["/a", "/agents/echo"],
        ["a", "/", "/a/", "//a", "/a b", "/a?b", "", 3],
    ),
    ("expose.chat.input", TEXT, ["question"], NO_TEXT),
    ("expose.chat.output", TEXT, ["answer"], NO_TEXT),
    ("expose.error_details", FLAG, [True, False], NO_FLAG),
    ("streaming.async_runs", FLAG, [True, False], NO_FLAG),
    (
        "streaming.backend",
        "must be one of memory, sqlite, redis",
        ["memory", "sqlite"],
        ["Memory", "postgres", 3, []],
    ),
    ("streaming.allow_client_ids", FLAG, [True, False], NO_FLAG),
    ("streaming.id_generator.type", "must be one of uuid, custom", ["uuid"], ["ulid", 4, []]),
    ("streaming.id_generator.handler", TARGET, ["ids:make"], ["ids", 3]),
    (
        "streaming.events.allowed",
        "must be one of minimal, chat, debug, all, or a list of event types",
        [
            "minimal",
            "chat",
            "debug",
            "all",
            [],
            ["token"],
            ["token", "custom", "custom:a_B1", "started"],
        ],
        ["token", "none", "custom:x", 3, True, {}],
    ),
    (
        "streaming.events.allowed",
        "a list may have started,",
        [],
        [["tokn"], ["chat"], ["custom:"], ["custom:1a"], ["custom:a-b"], ["gap"], ["timeout"], [3]],
    ),
    (
        "streaming.events.nodes",
        "must be all, or a list of names of nodes",
        ["all", [], ["writer"]],
        ["writer", [""], [3], 3, {}],
    ),
    ("streaming.events.heartbeat_interval", number(1, 300), [1, 300, 2.5], not_number(1, 300)),
    (
        "streaming.events.max_run_duration",
        number(1, 86400),
        [1, 86400, 0.5 + 1],
        not_number(1, 86400),
    ),
    ("streaming.connection.default_timeout", number(1, 3600), [1, 3600], not_number(1, 3600)),
    (
        "streaming.connection.max_subscribers_per_run",
        whole(1, 1000),
        [1, 1000],
        [*not_whole(1), 1001],
    ),
    (
        "streaming.connection.on_disconnect",
        "must be one of cancel, continue",
        ["cancel", "continue"],
        ["stop", True],
    ),
    ("streaming.connection.resume_window", number(0), [0, 0.5, 100_000], not_number(0)),
    ("streaming.sqlite.path", TEXT, ["a.db"], NO_TEXT),
    (
        "streaming.sqlite.stream_ttl_seconds",
        number(60, 604800),
        [60, 604800],
        not_number(60, 604800),
    ),
    (
        "streaming.sqlite.max_events_per_run",
        whole(10, 100000),
        [10, 100000],
        [*not_whole(10), 100001],
    ),
    (
        "streaming.redis.url",
        "must be a URL that starts with redis://, rediss:// or unix://",
        ["redis://h", "rediss://u:p@h:1/0", "unix:///run/redis.sock"],
        ["http://h", "redis:", "redis://", "h:6379", "", 3],
    ),
    (
        "streaming.redis.stream_ttl_seconds",
        number(60, 604800),
        [60, 604800],
        not_number(60, 604800),
    ),
    (
        "streaming.redis.max_events_per_run",
        whole(10, 100000),
        [10, 100000],
        [*not_whole(10), 100001],
    ),
    ("streaming.redis.connection_pool_size", whole(1, 1000), [1, 1000], [*not_whole(1), 1001]),
    ("streaming.memory.stream_ttl_seconds", number(0, 604800), [0, 604800], not_number(0, 604800)),
    (
        "streaming.memory.max_events_per_run",
        whole(10, 100000),
        [10, 100000],
        [*not_whole(10), 100001],
    ),
    ("streaming.worker", FLAG, [True], NO_FLAG),
    ("runs.concurrency", whole(1), [1], not_whole(1)),
    ("runs.max_attempts", whole(1), [1], not_whole(1)),
    ("runs.lease_seconds", number(2), [2, 2.5, 60], not_number(2)),
    (
        "auth.mode",
        "must be one of none, api_key, jwt, oauth2",
        ["none", "api_key"],
        ["apikey", "", True, 3],
    ),
    ("auth.api_keys.env_var", VARIABLE, ["KEY", "_k1"], ["1K", "A-B", "A B", "", 3]),
    (
        "auth.api_keys.header",
        "must be the name of a header, 1 to 64 characters",
        ["X", "x" * 64, "X-My.Key_1"],
        ["", "x" * 65, "X Key", "X:Key", "Ä", 3],
    ),
    ("auth.api_keys.allow_bearer", FLAG, [True, False], NO_FLAG),
    ("auth.api_keys.enabled", FLAG, [True, False], NO_FLAG),
    ("auth.api_keys.rotation_days", whole(1), [1], not_whole(1)),
    ("auth.api_keys.prefix", VARIABLE, ["prod", "PROD_KEY_"], ["1p", "a-b", "", 3]),
    (
        "auth.api_keys.keys",
        "must be a list",
        [[], [{"name": "a", "env_var": "A", "role": "r"}]],
        NO_LIST,
    ),
    (
        "auth.roles",
        "must be a list",
        [[], [{"name": "a", "permissions": ["invoke", "read_docs"]}]],
        NO_LIST,
    ),
    (
        "auth.rate_limits",
        "must be a mapping",
        [{}, {"a": "1/second", "default": "60/minute"}],
        [[], "60/minute", 3],
    ),
    (
        "auth.trusted_proxies",
        "must be a list",
        [["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"]],
        NO_LIST,
    ),
    ("auth.protect", "must be a list", [["metrics", "docs", "info", "schema"]], NO_LIST),
    ("policies.tools.allowed", "must be a list", [[], ["search"]], NO_LIST),
    ("policies.tools.deny_by_default", FLAG, [True, False], NO_FLAG),
    ("policies.safety.block_prompt_injection", FLAG, [True, False], NO_FLAG),
    ("policies.safety.classifier", TARGET, ["guard:check"], ["guard", 3]),
    ("policies.safety.max_output_chars", whole(1), [1], not_whole(1)),
    ("policies.safety.halt_on_violation", FLAG, [True, False], NO_FLAG),
    (
        "secrets.required",
        "must be a list",
        [[], [{"name": "A", "description": "", "default": ""}]],
        NO_LIST,
    ),
    ("secrets.optional", "must be a list", [[], [{"name": "A"}]], NO_LIST),
    (
        "observability.log_level",
        "must be one of debug, info, warn, error",
        ["debug", "info", "warn", "error"],
        ["INFO", "warning", 10],
    ),
    ("observability.tracing", FLAG, [True, False], NO_FLAG),
    ("observability.metrics.latency", FLAG, [True, False], NO_FLAG),
    ("observability.metrics.tokens", FLAG, [True, False], NO_FLAG),
    ("observability.metrics.cost", FLAG, [True, False], NO_FLAG),
    (
        "observability.otlp.endpoint",
        WEB_URL,
        ["http://collector:4318"],
        ["collector:4318", "grpc://c", "", 3],
    ),
    (
        "observability.otlp.headers",
        "must be a mapping",
        [{}, {"authorization": "Bearer x"}],
        [[], "a"],
    ),
    ("build.include.directories", "must be a list", [["data", "a/b", ".hidden", "a..b"]], NO_LIST),
    ("build.include.files", "must be a list", [["a.txt"]], NO_LIST),
    ("build.include.patterns", "must be a list", [["**/*.txt"]], NO_LIST),
    ("build.exclude", "must be a list", [["*.log", "/dist", "!keep.log", "a/**/b"]], NO_LIST),
    ("build.auto_detect_imports", FLAG, [True, False], NO_FLAG),
    ("metadata.maintainer", TEXT, ["me"], NO_TEXT),
    ("metadata.version", TEXT, ["1.2"], NO_TEXT),
    ("metadata.tags", "must be a list", [[], ["a"]], NO_LIST),
    ("arguments", "must be a mapping", [{}, {"a": [1, None]}], [[], "a", 3]),
    ("arguments.timeout_sec", POSITIVE, [1, 0.5, "60", True], [0, -1, -0.5]),
]

# The same for items of lists and mappings: path of the list, path of the problem below it.
TAKEN = [(path, value) for path, _, taken, _ in FIELDS for value in taken]
REFUSED = [(path, words, value) for path, words, _, refused in FIELDS for value in refused]


@pytest.mark.parametrize(("path", "value"), TAKEN)
def test_a_field_takes_what_the_contract_allows(path: str, value: Any) -> None:
    spec = spec_of({path: value})
    if isinstance(value, str | int | float) and path not in NORMALISED:
        assert attrgetter(path)(spec) == value


NORMALISED = {"expose.streaming", "streaming.events.nodes", "arguments.timeout_sec"}


@pytest.mark.parametrize(("path", "words", "value"), REFUSED)
def test_a_field_refuses_the_rest_and_says_path_rule_and_value(
    path: str, words: str, value: Any
) -> None:
    (problem,) = problems_of({path: value})
    assert problem.startswith(f"{path}: {words}")
    assert ", got " in problem
