"""The `streaming` and `runs` sections: events, connections, and where runs live."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from dockrion.spec.fields import (
    Kind,
    Unresolved,
    anything,
    broken_rule,
    flag,
    is_list,
    is_text,
    matching,
    number,
    one_of,
    secret,
    target,
    text,
    whole,
)
from dockrion.spec.section import Section

PRESETS: Final = ("minimal", "chat", "debug", "all")
EVENT_TYPES: Final = (
    "started",
    "complete",
    "error",
    "cancelled",
    "interrupt",
    "policy",
    "token",
    "step",
    "progress",
    "checkpoint",
    "tool_call",
    "tool_result",
    "heartbeat",
    "custom",
)
REDIS_URL: Final = "${REDIS_URL}"

_CUSTOM_EVENT: Final = r"custom:[a-zA-Z_][a-zA-Z0-9_]*"


def _complain_of_allowed(value: Any) -> str | None:
    if isinstance(value, str):
        if value in PRESETS:
            return None
        hint = "; one event type needs a list, too" if _is_event_type(value) else ""
        return f"must be one of {', '.join(PRESETS)}, or a list of event types{hint}"
    if not is_list(value):
        return f"must be one of {', '.join(PRESETS)}, or a list of event types"
    strange = [item for item in value if not _is_event_type(item)]
    if strange:
        return f"a list may have {', '.join(EVENT_TYPES)}, custom:<name>"
    return None


def _is_event_type(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    return value in EVENT_TYPES or re.fullmatch(_CUSTOM_EVENT, value) is not None


Allowed = Annotated[
    str | tuple[str, ...],
    Kind(
        complain=_complain_of_allowed,
        schema={
            "anyOf": [
                {"type": "string", "enum": list(PRESETS)},
                {
                    "type": "array",
                    "items": {
                        "anyOf": [
                            {"type": "string", "enum": list(EVENT_TYPES)},
                            {"type": "string", "pattern": f"^{_CUSTOM_EVENT}$"},
                        ]
                    },
                },
            ]
        },
    ),
]

Nodes = Annotated[
    tuple[str, ...],
    anything(
        "all, or a list of names of nodes",
        lambda v: v == "all" or (is_list(v) and all(map(is_text, v))),
        {
            "anyOf": [
                {"type": "string", "enum": ["all"]},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ]
        },
    ),
]

# The default stands as it is written until the loader knows that the backend is redis.
RedisUrl = Annotated[
    str,
    secret(
        matching(
            r"(?:redis|rediss|unix)://\S+|\$\{REDIS_URL\}",
            "a URL that starts with redis://, rediss:// or unix://",
        )
    ),
]

MaxEvents = Annotated[int, whole(10, 100_000)]
Ttl = Annotated[float, number(60, 604_800)]


class IdGeneratorSpec(Section):
    type: Annotated[Literal["uuid", "custom"], one_of("uuid", "custom")] = Field(
        default="uuid", description="uuid (version 4), or a function of your own."
    )
    handler: Annotated[str, target()] | None = Field(
        default=None,
        validate_default=True,
        description="module:function, called without arguments.",
    )

    @field_validator("handler", mode="after")
    @classmethod
    def _custom_needs_a_handler(cls, handler: str | None, info: ValidationInfo) -> str | None:
        if handler is None and info.data.get("type") == "custom":
            raise broken_rule("is required with `type: custom`")
        return handler


class EventsSpec(Section):
    allowed: Allowed = Field(default="all", description="A preset, or a list of event types.")
    nodes: Nodes | None = Field(
        default=None, description="Graph nodes whose tokens are sent; all when absent."
    )
    heartbeat_interval: Annotated[float, number(1, 300)] = Field(
        default=15, description="Seconds of silence after which a heartbeat is sent."
    )
    max_run_duration: Annotated[float, number(1, 86_400)] = Field(
        default=3600, description="Seconds that a run may take."
    )

    @field_validator("allowed", mode="after")
    @classmethod
    def _frozen(cls, allowed: Any) -> str | tuple[str, ...]:
        return allowed if isinstance(allowed, str) else tuple(allowed)

    @field_validator("nodes", mode="after")
    @classmethod
    def _all_is_none(cls, nodes: Any) -> tuple[str, ...] | None:
        return None if nodes is None or isinstance(nodes, str) else tuple(nodes)


class ConnectionSpec(Section):
    default_timeout: Annotated[float, number(1, 3600)] = Field(
        default=300, description="Seconds of one subscription to a run's events."
    )
    max_subscribers_per_run: Annotated[int, whole(1, 1000)] = Field(
        default=100, description="Subscribers of one run; past it: 429."
    )
    on_disconnect: Annotated[Literal["cancel", "continue"], one_of("cancel", "continue")] = Field(
        default="cancel", description="What a direct stream does when its caller goes away."
    )
    resume_window: Annotated[float, number(0)] = Field(
        default=0, description="Seconds to wait for the caller to come back before cancelling."
    )

    @property
    def holds_runs(self) -> bool:
        """Whether direct streams outlive their connection, and can be resumed."""
        return self.on_disconnect == "continue" or self.resume_window > 0


class SqliteSpec(Section):
    path: Annotated[str, text()] = Field(
        default=".dockrion/runs.db",
        description="Database file of this agent alone, made when missing.",
    )
    stream_ttl_seconds: Ttl = Field(
        default=3600, description="Seconds that a run is kept after its end."
    )
    max_events_per_run: MaxEvents = Field(default=10_000, description="Events kept of one run.")


class RedisSpec(Section):
    url: RedisUrl = Field(
        default=REDIS_URL,
        repr=False,
        description="redis://, rediss:// or unix://; looked up with backend: redis only.",
    )
    stream_ttl_seconds: Ttl = Field(
        default=3600, description="Seconds that a run is kept after its end."
    )
    max_events_per_run: MaxEvents = Field(default=10_000, description="Events kept of one run.")
    connection_pool_size: Annotated[int, whole(1, 1000)] = Field(
        default=10, description="Connections to Redis."
    )


class MemorySpec(Section):
    stream_ttl_seconds: Annotated[float, number(0, 604_800)] = Field(
        default=300, description="Seconds that a run is kept after its end."
    )
    max_events_per_run: MaxEvents = Field(default=10_000, description="Events kept of one run.")


class StreamingSpec(Section):
    async_runs: Annotated[bool, flag()] = Field(default=True, description="Registers /runs.")
    backend: Annotated[
        Literal["memory", "sqlite", "redis"], one_of("memory", "sqlite", "redis")
    ] = Field(default="memory", description="Where runs and their events live.")
    allow_client_ids: Annotated[bool, flag()] = Field(
        default=True, description="Whether callers may choose the run id."
    )
    id_generator: IdGeneratorSpec = Field(
        default={}, validate_default=True, description="What makes run ids."
    )
    events: EventsSpec = Field(
        default={},
        validate_default=True,
        description="Which events are sent, and how long a run lasts.",
    )
    connection: ConnectionSpec = Field(
        default={}, validate_default=True, description="Subscribers, and callers that go away."
    )
    sqlite: SqliteSpec = Field(
        default={}, validate_default=True, description="With backend: sqlite."
    )
    redis: RedisSpec = Field(default={}, validate_default=True, description="With backend: redis.")
    memory: MemorySpec = Field(
        default={}, validate_default=True, description="With backend: memory."
    )
    worker: Annotated[bool, flag()] = Field(
        default=True,
        description="Whether this process executes async runs; false needs sqlite or redis.",
    )

    @property
    def kept(self) -> MemorySpec | SqliteSpec | RedisSpec:
        """How much is kept of runs, and for how long, in the backend that is chosen."""
        match self.backend:
            case "memory":
                return self.memory
            case "sqlite":
                return self.sqlite
            case "redis":
                return self.redis

    @field_validator("redis", mode="after")
    @classmethod
    def _redis_needs_its_url(cls, redis: RedisSpec, info: ValidationInfo) -> RedisSpec:
        missing = redis.url == REDIS_URL and not isinstance(redis.url, Unresolved)
        if missing and info.data.get("backend") == "redis":
            raise broken_rule("is required with `backend: redis`", at="redis.url")
        return redis

    @field_validator("worker", mode="after")
    @classmethod
    def _runs_need_somebody(cls, worker: bool, info: ValidationInfo) -> bool:
        if not worker and info.data.get("backend") == "memory":
            raise broken_rule("cannot be false with `backend: memory`, which no other process sees")
        return worker


class RunsSpec(Section):
    concurrency: Annotated[int, whole()] = Field(
        default=16, description="Async runs that a process executes at once."
    )
    max_attempts: Annotated[int, whole()] = Field(
        default=1, description="How often a run is started whose worker was lost."
    )
    lease_seconds: Annotated[float, number(2)] = Field(
        default=15, description="Seconds after which a silent worker counts as lost."
    )
