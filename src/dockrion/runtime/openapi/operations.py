"""What each path takes and answers, and which errors it may give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dockrion.errors import (
    AgentExecutionError,
    ConflictError,
    DockrionError,
    GoneError,
    InvalidOutputError,
    OverloadedError,
    PayloadTooLargeError,
    RunTimeoutError,
    ServiceUnavailableError,
    ShuttingDownError,
    TooManySubscribersError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from dockrion.runs.schema import Schema
from dockrion.runtime.gate import TICKET_SECONDS
from dockrion.runtime.openapi.agent import agent_names, reference
from dockrion.runtime.openapi.events import (
    SECONDS,
    TEXT,
    TEXT_OR_NULL,
    TIMESTAMP,
    event_table,
    example_stream,
)
from dockrion.runtime.requests import EVENT_ID, RUN_ID, THREAD_ID, TICKET_PATH
from dockrion.runtime.sample import sample_payload
from dockrion.spec import DockSpec

_STREAM_SAYS: Final = (
    "Server-Sent Events. Each has the lines `event: <type>`, `data: <one line of JSON>` and "
    "`id: <run_id>:<sequence>`, and ends with a blank one; lines that start with `:` are comments. `data` has "
    "`id`, `type`, `run_id`, `sequence`, `timestamp` and the fields below. `started` comes first; the stream ends "
    "after exactly one of `complete`, `error`, `cancelled`, or when the run waits, after `interrupt`. Sequence "
    "numbers have no gap."
)

_SEEN_ALL: Final = {
    "204": {
        "description": "`Last-Event-ID` names the last event of the run: there is nothing more.",
        "headers": {"X-Run-ID": {"$ref": "#/components/headers/RunId"}},
    }
}

Errors = tuple[type[DockrionError], ...]


class Operation(NamedTuple):
    """`errors` are those that every caller may get, and `held_errors` where direct streams can be resumed.

    With `protected`, callers without credentials get others.
    """

    method: str
    describe: Callable[[DockSpec], dict[str, Any]]
    errors: Errors = ()
    protected: bool = False
    held_errors: Errors = ()


def _invoke(spec: DockSpec) -> dict[str, Any]:
    return {
        "operationId": "invoke",
        "tags": ["agent"],
        "summary": "Run the agent and wait for its output",
        "parameters": _options(spec),
        "requestBody": _payload(spec),
        "responses": {
            "200": {
                "description": "The agent's output.",
                "headers": {"X-Run-ID": _header("RunId")},
                "content": _json(reference(agent_names(spec).invoke_response)),
            },
            **(_waits() if spec.agent.framework == "langgraph" else {}),
        },
    }


def _waits() -> dict[str, Any]:
    asked = _closed({"interrupt_id": TEXT, "value": {"description": "What the agent asks."}})
    fields = {
        "success": {"const": True},
        "status": {"const": "INTERRUPTED"},
        "interrupts": {"type": "array", "minItems": 1, "items": asked},
        "metadata": {"type": "object"},
    }
    answer = {
        "description": "The agent waits for answers.",
        "headers": {"X-Run-ID": _header("RunId")},
        "content": _json(_closed(fields)),
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
        "parameters": [*_options(spec), last_event_id],
        "requestBody": _payload(spec),
        "responses": {
            "200": {
                "description": "The events of the run, each as soon as the agent emits it.",
                "headers": {"X-Run-ID": _header("RunId")},
                "content": {
                    "text/event-stream": {
                        "schema": reference("StreamEvent"),
                        "example": example_stream(spec),
                    }
                },
            },
            **(_SEEN_ALL if resumes else {}),
        },
    }


def _ticket(_spec: DockSpec) -> dict[str, Any]:
    asked = _closed({"path": {**TEXT, "pattern": f"^{TICKET_PATH}$"}})
    answer = _closed({"ticket": TEXT, "expires_in": {"type": "integer", "const": TICKET_SECONDS}})
    return {
        "operationId": "ticket",
        "tags": ["server"],
        "summary": "Get a ticket for one request that cannot send headers",
        "description": (
            "For `EventSource` in browsers: `?ticket=<ticket>` stands for the caller's credentials once, on that "
            "path alone."
        ),
        "requestBody": {"required": True, "content": _json(asked)},
        "responses": {"200": {"description": "The ticket.", "content": _json(answer)}},
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
    return _asked("health", "Whether the process lives", "It does.", _json(_closed(fields)))


def _ready(_spec: DockSpec) -> dict[str, Any]:
    ready = {"success": {"const": True}, "status": {"const": "ready"}, "agent": TEXT}
    not_ready = {
        "success": {"const": False},
        "status": {"enum": ["loading", "failed", "draining"]},
        "agent": TEXT,
        "error": TEXT_OR_NULL,
    }
    operation = _asked("ready", "Whether the agent takes calls", "It does.", _json(_closed(ready)))
    operation["responses"]["503"] = {
        "description": "It is still loading, failed to load, or the server is shutting down.",
        "content": _json(_closed(not_ready)),
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
    return _asked("schema", summary, "The agent's schemas.", _json(_closed(fields)))


def _info(_spec: DockSpec) -> dict[str, Any]:
    agent = {"name": TEXT, "framework": TEXT, "description": TEXT_OR_NULL}
    fields = {
        "success": {"const": True},
        "agent": _closed(agent),
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
    return _asked("info", summary, "About this server.", _json(_closed(fields)))


def _metrics(_spec: DockSpec) -> dict[str, Any]:
    content = {"text/plain": {"schema": TEXT}}
    return _asked("metrics", "Counters for Prometheus", "Prometheus text format.", content)


REFUSALS: Final[Errors] = (
    ValidationError,
    ConflictError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    DockrionError,
    OverloadedError,
    ServiceUnavailableError,
    ShuttingDownError,
)
ENDS: Final[Errors] = (AgentExecutionError, InvalidOutputError, RunTimeoutError)

OPERATIONS: Final[dict[str, Operation]] = {
    "/invoke": Operation("post", _invoke, (*REFUSALS, *ENDS), protected=True),
    "/invoke/stream": Operation(
        "post",
        _stream,
        (*REFUSALS, GoneError),
        protected=True,
        held_errors=(TooManySubscribersError,),
    ),
    "/auth/ticket": Operation(
        "post",
        _ticket,
        (ValidationError, PayloadTooLargeError, UnsupportedMediaTypeError, OverloadedError),
        protected=True,
    ),
    "/health": Operation("get", _health),
    "/ready": Operation("get", _ready),
    "/schema": Operation("get", _schema),
    "/info": Operation("get", _info),
    "/metrics": Operation("get", _metrics),
}

RUN_METADATA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "agent": TEXT,
        "framework": TEXT,
        "run_id": TEXT,
        "latency_seconds": SECONDS,
        "output_valid": {
            "const": False,
            "description": "There when the output does not fit the agent's output schema.",
        },
        "truncated": {"const": True, "description": "There when the output was cut to its limit."},
    },
    "required": ["agent", "framework", "run_id", "latency_seconds"],
}


def _options(spec: DockSpec) -> list[dict[str, Any]]:
    """The options of a run, each as a query parameter and, where there is none, as a header."""
    says = "The framework's conversation thread; without it, the run's id."
    options = [("thread_id", "X-Thread-ID", f"^{THREAD_ID}$", says)]
    if spec.streaming.allow_client_ids:
        says = "An id of the caller's own for the run; it must not be taken."
        options.insert(0, ("run_id", "X-Run-ID", f"^{RUN_ID}$", says))
    request_id = {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Comes back in the answer, if it is 1 to 128 visible ASCII characters.",
        "schema": TEXT,
    }
    return [
        *(
            {
                "name": name,
                "in": place,
                "description": says if place == "query" else f"The same as `{query}` in the query.",
                "schema": {"type": "string", "pattern": pattern},
            }
            for query, header, pattern, says in options
            for name, place in ((query, "query"), (header, "header"))
        ),
        request_id,
    ]


def _payload(spec: DockSpec) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": reference(agent_names(spec).input)}
    # Pages offer it for a first call; what they make up themselves of a recursive schema does not fit.
    sample = sample_payload(spec.io_schema.input)
    if spec.io_schema.input is None or Schema(spec.io_schema.input).fits(sample):
        media["example"] = sample
    return {
        "description": "The agent's input.",
        "required": True,
        "content": {"application/json": media},
    }


def _asked(name: str, summary: str, answer: str, content: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": name,
        "tags": ["server"],
        "summary": summary,
        "responses": {"200": {"description": answer, "content": content}},
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _closed(fields: dict[str, Any]) -> dict[str, Any]:
    """An object with these fields, all of them."""
    return {"type": "object", "properties": fields, "required": list(fields)}
