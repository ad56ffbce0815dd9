"""What stands in a stream, as schemas: one component for each type of event that the Dockfile lets out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from dockrion.events import sse
from dockrion.events.filter import EventsFilter
from dockrion.events.model import Batch, Complete, Event, Started, Token
from dockrion.runtime.openapi.agent import agent_names, reference
from dockrion.runtime.sample import sample_payload
from dockrion.spec import DockSpec

ANY: Final[dict[str, Any]] = {}
TEXT: Final = {"type": "string"}
TEXT_OR_NULL: Final = {"type": ["string", "null"]}
KEYS_OR_NULL: Final = {"type": ["array", "null"], "items": TEXT}
SECONDS: Final = {"type": "number", "minimum": 0}
MILLISECONDS_OR_NULL: Final = {"type": ["number", "null"]}
SEQUENCE: Final = {"type": "integer", "minimum": 0}
TIMESTAMP: Final = {"type": "string", "format": "date-time"}

# Of each type: what it tells, its own fields, and those of them that are there only when they are known.
_EVENTS: Final[dict[str, tuple[str, dict[str, Any], frozenset[str]]]] = {
    "started": (
        "The run has begun.",
        {
            "agent": TEXT,
            "agent_name": {**TEXT, "description": "The same as `agent`."},
            "framework": TEXT,
            "attempt": {"type": "integer", "minimum": 2},
        },
        frozenset({"attempt"}),
    ),
    "token": (
        "A piece of the agent's text.",
        {
            "content": TEXT,
            "finish_reason": TEXT_OR_NULL,
            "node": TEXT,
            "message_id": TEXT,
        },
        frozenset({"node", "message_id"}),
    ),
    "step": (
        "A step of the agent is done.",
        {
            "node_name": TEXT,
            "duration_ms": MILLISECONDS_OR_NULL,
            "input_keys": KEYS_OR_NULL,
            "output_keys": KEYS_OR_NULL,
        },
        frozenset(),
    ),
    "progress": (
        "How far the agent is.",
        {
            "step": TEXT,
            "progress": {"type": "number", "minimum": 0, "maximum": 1},
            "message": TEXT_OR_NULL,
        },
        frozenset(),
    ),
    "checkpoint": ("A state worth keeping.", {"name": TEXT, "data": ANY}, frozenset()),
    "tool_call": (
        "The agent calls a tool.",
        {"tool": TEXT, "call_id": TEXT_OR_NULL, "arguments": ANY},
        frozenset(),
    ),
    "tool_result": (
        "A tool has answered.",
        {
            "tool": TEXT,
            "call_id": TEXT_OR_NULL,
            "output": ANY,
            "duration_ms": MILLISECONDS_OR_NULL,
            "error": TEXT_OR_NULL,
        },
        frozenset(),
    ),
    "policy": (
        "A policy of the Dockfile has acted.",
        {"rule": TEXT, "message": TEXT, "tool": TEXT_OR_NULL},
        frozenset(),
    ),
    "custom": (
        "An event of the agent's own; `data` is what it gave.",
        {"data": ANY},
        frozenset(),
    ),
    "heartbeat": (
        "Nothing has happened for a while. It belongs to the connection: no `id`, no `sequence`.",
        {},
        frozenset(),
    ),
    "gap": (
        "The events `from` to `to` are kept no more. It belongs to the connection: no `id`, no `sequence`.",
        {"from": SEQUENCE, "to": SEQUENCE},
        frozenset(),
    ),
    "timeout": (
        "The stream has lasted as long as it may. It belongs to the connection: no `id`, no `sequence`.",
        {},
        frozenset(),
    ),
    "interrupt": (
        "The run waits for an answer.",
        {"value": ANY, "interrupt_id": TEXT},
        frozenset(),
    ),
    "complete": (
        "The run is over: its output. Terminal.",
        {
            "output": ANY,  # replaced by the agent's own schema
            "latency": {**SECONDS, "description": "The same as `latency_seconds`."},
            "latency_seconds": SECONDS,
            "metadata": reference("RunMetadata"),
        },
        frozenset(),
    ),
    "error": (
        "The run is over: it failed. Terminal.",
        {"error": TEXT, "code": TEXT, "details": ANY},
        frozenset(),
    ),
    "cancelled": ("The run is over: it was cancelled. Terminal.", {"reason": TEXT}, frozenset()),
}

_OF_THE_CONNECTION: Final = ("heartbeat", "gap", "timeout")


def event_schemas(spec: DockSpec) -> dict[str, Any]:
    """Return `StreamEvent` of direct streams, `RunStreamEvent` of those of `/runs`, and what they refer to."""
    kinds, allowed = _kinds(spec, followed=True)
    schemas = {_component(kind): _event(kind, allowed) for kind in kinds}
    schemas["CompleteEvent"]["properties"]["output"] = reference(agent_names(spec).output)
    schemas["StreamEvent"] = _stream_event(*_kinds(spec, followed=False))
    schemas["RunStreamEvent"] = _stream_event(kinds, allowed)
    return schemas


def _stream_event(kinds: list[str], allowed: frozenset[str]) -> dict[str, Any]:
    # OpenAPI 3.1 has no words for a stream: as its successor does, this says what one event of it is.
    return {
        "type": "object",
        "description": "One Server-Sent Event; the body is a sequence of them.",
        "properties": {
            "event": {"anyOf": [_type(kind, allowed) for kind in kinds]},
            "data": {
                "type": "string",
                "description": "One line of JSON.",
                "contentMediaType": "application/json",
                "contentSchema": {"oneOf": [reference(_component(kind)) for kind in kinds]},
            },
            "id": {**TEXT, "description": "`<run_id>:<sequence>`"},
        },
        "required": ["event", "data"],
    }


def event_table(spec: DockSpec, *, followed: bool = False) -> str:
    """Return the events as Markdown, for readers that show no schema of what stands in `data`."""
    kinds, allowed = _kinds(spec, followed=followed)
    lines = ["| event | | its own fields |", "|---|---|---|"]
    for kind in kinds:
        says, fields, _ = _EVENTS[kind]
        named = [] if "custom" in allowed else _custom(allowed)
        shown = (named or ["custom:<name>"]) if kind == "custom" else [kind]
        lines.append(f"| {_code(shown)} | {says} | {_code(fields)} |")
    return "\n".join(lines)


def example_stream(spec: DockSpec) -> str:
    """Return a short stream as the server writes it."""
    run_id = "6f1c2d0e-5b7a-4c8e-9d3f-2a1b0c9d8e7f"
    name, framework = spec.agent.name, spec.agent.framework
    output = sample_payload(spec.io_schema.output)
    metadata = {"agent": name, "framework": framework, "run_id": run_id, "latency_seconds": 0.42}
    events: list[Event] = [Started(name, framework)]
    if EventsFilter(spec.streaming.events.allowed).token:
        events.append(Token("Hello"))
    events.append(Complete(output, 0.42, metadata))
    return sse.frames(run_id, Batch(events, 0, "2025-01-31T12:00:00.000Z")).decode()


def _kinds(spec: DockSpec, *, followed: bool) -> tuple[list[str], frozenset[str]]:
    """Return the keys of the table that the Dockfile lets out, and the types that it names.

    `followed`: of a stream of `/runs`.
    """
    allowed = EventsFilter(spec.streaming.events.allowed).allowed
    there = set(allowed)
    if _custom(allowed):
        there.add("custom")
    if followed or spec.streaming.connection.holds_runs:
        there.add("gap")
    if followed:
        there.add("timeout")
    return [kind for kind in _EVENTS if kind in there], allowed


def _custom(allowed: frozenset[str]) -> list[str]:
    return sorted(kind for kind in allowed if kind.startswith("custom"))


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _component(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.split("_")) + "Event"


def _event(kind: str, allowed: frozenset[str]) -> dict[str, Any]:
    says, own, optional = _EVENTS[kind]
    fields: dict[str, Any] = {"type": _type(kind, allowed), "run_id": TEXT, "timestamp": TIMESTAMP}
    if kind not in _OF_THE_CONNECTION:
        fields["id"] = {**TEXT, "description": "`<run_id>:<sequence>`"}
        fields["sequence"] = SEQUENCE
    fields |= own
    return {
        "type": "object",
        "description": says,
        "properties": fields,
        "required": [name for name in fields if name not in optional],
    }


def _type(kind: str, allowed: frozenset[str]) -> dict[str, Any]:
    if kind != "custom":
        return {"const": kind}
    if "custom" in allowed:
        return {"type": "string", "pattern": "^custom:[a-zA-Z_][a-zA-Z0-9_]*$"}
    return {"enum": _custom(allowed)}
