"""What a field holds that the Dockfile does not name, and what must be named."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
from tests.spec.kit import LEAST, spec_of

from dockrion.spec import DockSpec

MIB = 1 << 20
JWT = {"mode": "jwt", "jwt": {"jwks_url": "https://id.example/keys"}}
OAUTH2 = {"mode": "oauth2", "oauth2": {"introspection_url": "https://id.example/introspect"}}
LANGFUSE = {"public_key": "pk", "secret_key": "sk"}

DEFAULTS: dict[str, Any] = {
    "agent.entrypoint": None,
    "agent.framework": "custom",
    "agent.description": None,
    "io_schema.input": None,
    "io_schema.output": None,
    "io_schema.strict": True,
    "expose.rest": True,
    "expose.streaming": ("sse",),
    "expose.port": 8080,
    "expose.host": "0.0.0.0",
    "expose.cors.origins": ("*",),
    "expose.cors.methods": ("*",),
    "expose.cors.headers": ("*",),
    "expose.cors.credentials": False,
    "expose.protocols": (),
    "expose.limits.max_body_bytes": 10 * MIB,
    "expose.limits.max_concurrency": 0,
    "expose.limits.max_queue": 1000,
    "expose.limits.threads": 512,
    "expose.limits.write_timeout": 60,
    "expose.limits.max_output_bytes": 10 * MIB,
    "expose.limits.block_warning_ms": 100,
    "expose.shutdown_grace": 30,
    "expose.root_path": None,
    "expose.chat": None,
    "expose.error_details": True,
    "streaming.async_runs": True,
    "streaming.backend": "memory",
    "streaming.allow_client_ids": True,
    "streaming.id_generator.type": "uuid",
    "streaming.id_generator.handler": None,
    "streaming.events.allowed": "all",
    "streaming.events.nodes": None,
    "streaming.events.heartbeat_interval": 15,
    "streaming.events.max_run_duration": 3600,
    "streaming.connection.default_timeout": 300,
    "streaming.connection.max_subscribers_per_run": 100,
    "streaming.connection.on_disconnect": "cancel",
    "streaming.connection.resume_window": 0,
    "streaming.sqlite.path": ".dockrion/runs.db",
    "streaming.sqlite.stream_ttl_seconds": 3600,
    "streaming.sqlite.max_events_per_run": 10_000,
    "streaming.redis.url": "${REDIS_URL}",
    "streaming.redis.stream_ttl_seconds": 3600,
    "streaming.redis.max_events_per_run": 10_000,
    "streaming.redis.connection_pool_size": 10,
    "streaming.memory.stream_ttl_seconds": 300,
    "streaming.memory.max_events_per_run": 10_000,
    "streaming.worker": True,
    "runs.concurrency": 16,
    "runs.max_attempts": 1,
    "runs.lease_seconds": 15,
    "auth": None,
    "policies.tools": None,
    "policies.safety": None,
    "secrets.required": (),
    "secrets.optional": (),
    "observability.log_level": "info",
    "observability.tracing": True,
    "observability.metrics.latency": True,
    "observability.metrics.tokens": True,
    "observability.metrics.cost": True,
    "observability.langfuse": None,
    "observability.otlp": None,
    "build.include.directories": (),
    "build.include.files": (),
    "build.include.patterns": (),
    "build.exclude": (),
    "build.auto_detect_imports": False,
    "metadata.maintainer": None,
    "metadata.version": None,
    "metadata.tags": (),
    "arguments": {},
}

DEFAULTS_OF_SECTIONS_THAT_ARE_THERE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"auth": {}},
        {
            "auth.mode": "api_key",
            "auth.api_keys.env_var": "DOCKRION_API_KEY",
            "auth.api_keys.header": "X-API-Key",
            "auth.api_keys.allow_bearer": True,
            "auth.api_keys.enabled": True,
            "auth.api_keys.rotation_days": 30,
            "auth.api_keys.prefix": None,
            "auth.api_keys.keys": None,
            "auth.jwt": None,
            "auth.oauth2": None,
            "auth.roles": (),
            "auth.rate_limits": {},
            "auth.trusted_proxies": (),
            "auth.protect": (),
        },
    ),
    (
        {"auth": JWT},
        {
            "auth.jwt.public_key_env": None,
            "auth.jwt.issuer": None,
            "auth.jwt.audience": None,
            "auth.jwt.algorithms": ("RS256",),
            "auth.jwt.leeway_seconds": 30,
            "auth.jwt.claims.user_id": "sub",
            "auth.jwt.claims.email": "email",
            "auth.jwt.claims.name": "name",
            "auth.jwt.claims.roles": "roles",
            "auth.jwt.claims.permissions": "permissions",
            "auth.jwt.claims.scopes": "scope",
            "auth.jwt.claims.tenant_id": None,
        },
    ),
    (
        {"auth": OAUTH2},
        {
            "auth.oauth2.client_id_env": None,
            "auth.oauth2.client_secret_env": None,
            "auth.oauth2.required_scopes": (),
            "auth.oauth2.cache_seconds": 30,
        },
    ),
    (
        {"policies.tools": {}, "policies.safety": {}},
        {
            "policies.tools.allowed": (),
            "policies.tools.deny_by_default": True,
            "policies.safety.block_prompt_injection": True,
            "policies.safety.injection_patterns": (),
            "policies.safety.classifier": None,
            "policies.safety.redact_patterns": (),
            "policies.safety.max_output_chars": None,
            "policies.safety.halt_on_violation": False,
        },
    ),
    (
        {"observability.otlp": {}, "observability.langfuse": LANGFUSE, "expose.chat": {}},
        {
            "observability.otlp.endpoint": None,
            "observability.otlp.headers": {},
            "observability.langfuse.host": "https://cloud.langfuse.com",
            "expose.chat.input": None,
            "expose.chat.output": None,
        },
    ),
]


@pytest.mark.parametrize(("path", "default"), DEFAULTS.items())
def test_a_field_that_is_not_given_has_the_default_of_the_contract(path: str, default: Any) -> None:
    assert attrgetter(path)(spec_of({})) == default


@pytest.mark.parametrize(("parts", "defaults"), DEFAULTS_OF_SECTIONS_THAT_ARE_THERE)
def test_a_section_that_is_switched_on_has_its_own_defaults(
    parts: dict[str, Any], defaults: dict[str, Any]
) -> None:
    spec = spec_of(parts)
    assert {path: attrgetter(path)(spec) for path in defaults} == defaults


@pytest.mark.parametrize("path", [path for path in DEFAULTS if path != "agent.handler"])
def test_null_is_not_given(path: str) -> None:
    spec = spec_of({path: None})
    assert attrgetter(path)(spec) == DEFAULTS[path]


@pytest.mark.parametrize("section", ["version", "agent", "io_schema", "expose"])
@pytest.mark.parametrize("value", ["absent", None])
def test_the_four_required_keys_are_required(section: str, value: Any) -> None:
    data = {key: below for key, below in LEAST.items() if key != section}
    if value is None:
        data[section] = None
    with pytest.raises(Exception, match=rf"^{section}: is required"):
        DockSpec.model_validate(data)
