"""What each path takes and answers, and which errors it may give."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    AgentExecutionError,
    GoneError,
    InvalidOutputError,
    OverloadedError,
    PayloadTooLargeError,
    RunTimeoutError,
    TooManySubscribersError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from dockrion.events.ids import EVENT_ID
from dockrion.runtime.gate import TICKET_SECONDS
from dockrion.runtime.openapi.agent import agent_names, reference
from dockrion.runtime.openapi.events import (
    TEXT,
    TEXT_OR_NULL,
    TIMESTAMP,
    event_table,
    example_stream,
)
from dockrion.runtime.openapi.parts import (
    REFUSALS,
    SEEN_ALL,
    Errors,
    Operation,
    closed,
    header,
    json_body,
    options,
    payload,
    question,
)
from dockrion.runtime.requests import TICKET_PATH
from dockrion.spec import DockSpec

_STREAM_SAYS: Final = (
    "Server-Sent Events. Each has the lines `event: <type>`, `data: <one line of JSON>` and "
    "`id: <run_id>:<sequence>`, and ends with a blank one; lines that start with `:` are comments. `data` has "
    "`id`, `type`, `run_id`, `sequence`, `timestamp` and the fields below. `started` comes first; the stream ends "
    "after exactly one of `complete`, `error`, `cancelled`, or when the run waits, after `interrupt`. Sequence "
    "numbers have no gap."
)


def _invoke(spec: DockSpec) -> dict[str, Any]:
    return {
        "operationId": "invoke",
        "tags": ["agent"],
        "summary": "Run the agent and wait for its output",
        "parameters": options(spec),
        "requestBody": payload(spec),
        "responses": {
            "200": {
                "description": "The agent's output.",
                "headers": {"X-Run-ID": header("RunId")},
                "content": json_body(reference(agent_names(spec).invoke_response)),
            },
            **(_waits() if spec.agent.framework == "langgraph" else {}),
        },
    }


def _waits() -> dict[str, Any]:
    fields = {
        "success": {"const": True},
        "status": {"const": "INTERRUPTED"},
        "interrupts": {"type": "array", "minItems": 1, "items": question()},
        "metadata": {"type": "object"},
    }
    answer = {
        "description": "The agent waits for answers.",
        "headers": {"X-Run-ID": header("RunId")},
        "content": json_body(closed(fields)),
    }
    return {"202": answer}


def _stream(spec: DockSpec) -> dict[str, Any]:
    resumes = spec.streaming.connection.holds_runs
    last_event_id = {
        "name": "Last-Event-ID",
        "in": "header",
        "description": (
            "`<run_id>:<sequence>` of the last event seen. With it no run is started and the body is ignored"
            + ("; the stream goes on with the next event." if resumes else ".")
        ),
        "schema": {"type": "string", "pattern": f"^{EVENT_ID}$"},
    }
    return {
        "operationId": "invokeStream",
        "tags": ["agent"],
        "summary": "Run the agent and read its events as they come",
        "description": f"{_STREAM_SAYS}\n\n{event_table(spec)}",
        "parameters": [*options(spec), last_event_id],
        "requestBody": payload(spec),
        "responses": {
            "200": {
                "description": "The events of the run, each as soon as the agent emits it.",
                "headers": {"X-Run-ID": header("RunId")},
                "content": {
                    "text/event-stream": {
                        "schema": reference("StreamEvent"),
                        "example": example_stream(spec),
                    }
                },
            },
            **(SEEN_ALL if resumes else {}),
        },
    }


def _ticket(_spec: DockSpec) -> dict[str, Any]:
    asked = closed({"path": {**TEXT, "pattern": f"^{TICKET_PATH}$"}})
    answer = closed({"ticket": TEXT, "expires_in": {"type": "integer", "const": TICKET_SECONDS}})
    return {
        "operationId": "ticket",
        "tags": ["server"],
        "summary": "Get a ticket for one request that cannot send headers",
        "description": (
            "For `EventSource` in browsers: `?ticket=<ticket>` stands for the caller's credentials once, on that "
            "path alone."
        ),
        "requestBody": {"required": True, "content": json_body(asked)},
        "responses": {"200": {"description": "The ticket.", "content": json_body(answer)}},
    }


def _health(_spec: DockSpec) -> dict[str, Any]:
    fields = {
        "status": {"const": "ok"},
        "service": TEXT,
        "version": TEXT,
        "timestamp": TIMESTAMP,
        "agent": TEXT,
        "framework": TEXT,
    }
    return _asked("health", "Whether the process lives", "It does.", json_body(closed(fields)))


def _ready(_spec: DockSpec) -> dict[str, Any]:
    ready = {"success": {"const": True}, "status": {"const": "ready"}, "agent": TEXT}
    not_ready = {
        "success": {"const": False},
        "status": {"enum": ["loading", "failed", "draining"]},
        "agent": TEXT,
        "error": TEXT_OR_NULL,
    }
    operation = _asked(
        "ready", "Whether the agent takes calls", "It does.", json_body(closed(ready))
    )
    operation["responses"]["503"] = {
        "description": "It is still loading, failed to load, or the server is shutting down.",
        "content": json_body(closed(not_ready)),
    }
    return operation


def _schema(_spec: DockSpec) -> dict[str, Any]:
    schema_or_null = {"type": ["object", "null"], "description": "JSON Schema, draft 2020-12."}
    fields = {
        "success": {"const": True},
        "agent": TEXT,
        "input_schema": schema_or_null,
        "output_schema": schema_or_null,
    }
    summary = "What goes in and what comes out"
    return _asked("schema", summary, "The agent's schemas.", json_body(closed(fields)))


def _info(_spec: DockSpec) -> dict[str, Any]:
    agent = {"name": TEXT, "framework": TEXT, "description": TEXT_OR_NULL}
    fields = {
        "success": {"const": True},
        "agent": closed(agent),
        "auth_enabled": {"type": "boolean"},
        "version": TEXT,
        "metadata": {"type": "object"},
        "adapter": {
            "type": ["object", "null"],
            "description": "What serves the agent; null until it is loaded.",
        },
        "events": {
            "description": "A preset, or the types of events that are sent.",
            "anyOf": [TEXT, {"type": "array", "items": TEXT}],
        },
        "protocols": {"type": "array", "items": TEXT},
    }
    summary = "The agent, its framework, its events"
    return _asked("info", summary, "About this server.", json_body(closed(fields)))


def _metrics(_spec: DockSpec) -> dict[str, Any]:
    content = {"text/plain": {"schema": TEXT}}
    return _asked("metrics", "Counters for Prometheus", "Prometheus text format.", content)


ENDS: Final[Errors] = (AgentExecutionError, InvalidOutputError, RunTimeoutError)

OPERATIONS: Final = (
    Operation("/invoke", "post", _invoke, (*REFUSALS, *ENDS), protected=True),
    Operation(
        "/invoke/stream",
        "post",
        _stream,
        (*REFUSALS, GoneError),
        protected=True,
        held_errors=(TooManySubscribersError,),
    ),
    Operation(
        "/auth/ticket",
        "post",
        _ticket,
        (ValidationError, PayloadTooLargeError, UnsupportedMediaTypeError, OverloadedError),
        protected=True,
    ),
    Operation("/health", "get", _health),
    Operation("/ready", "get", _ready),
    Operation("/schema", "get", _schema),
    Operation("/info", "get", _info),
    Operation("/metrics", "get", _metrics),
)


def _asked(name: str, summary: str, answer: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["server"],
        "summary": summary,
        "responses": {"200": {"description": answer, "content": content}},
    }
