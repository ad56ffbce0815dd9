"""`/runs` and what is below it."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    ConflictError,
    DockrionError,
    GoneError,
    NotFoundError,
    PayloadTooLargeError,
    RunIsOverError,
    ServiceUnavailableError,
    ShuttingDownError,
    TooManySubscribersError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from dockrion.events.ids import RUN_ID
from dockrion.events.model import RunStatus
from dockrion.runtime.openapi.agent import agent_names, reference
from dockrion.runtime.openapi.events import (
    ANY,
    TEXT,
    TEXT_OR_NULL,
    TIMESTAMP,
    event_table,
    example_stream,
)
from dockrion.runtime.openapi.parts import (
    REFUSALS,
    RUN_METADATA,
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
from dockrion.runtime.run_requests import (
    CURSOR,
    DEFAULT_LIMIT,
    IDEMPOTENCY_KEY,
    MAX_LIMIT,
    MAX_TIMEOUT,
    PLACE,
    REASON,
)
from dockrion.spec import DockSpec

_TIMESTAMP_OR_NULL: Final = {"type": ["string", "null"], "format": "date-time"}
_RUN_ID_HEADER: Final = {"X-Run-ID": header("RunId")}
_STARTED_HEADERS: Final = {**_RUN_ID_HEADER, "Location": header("Location")}
_RUN_ID: Final = {
    "name": "run_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{RUN_ID}$"},
}
_READS: Final[Errors] = (
    ValidationError,
    NotFoundError,
    DockrionError,
    ServiceUnavailableError,
    ShuttingDownError,
)


def run_schemas(spec: DockSpec) -> dict[str, Any]:
    """Return the components that are about runs."""
    error = closed({"code": TEXT, "message": TEXT, "details": ANY})
    metadata = {
        "type": "object",
        "properties": RUN_METADATA["properties"],
        "required": ["agent", "framework", "run_id"],
    }
    known = {
        "run_id": TEXT,
        "status": reference("RunStatus"),
        "created_at": TIMESTAMP,
        "started_at": _TIMESTAMP_OR_NULL,
        "finished_at": _TIMESTAMP_OR_NULL,
        "metadata": metadata,
    }
    ends = {
        "output": reference(agent_names(spec).output),
        "error": {**error, "description": "There when the run failed."},
        "interrupts": {
            "type": "array",
            "description": "There while the run waits for answers.",
            "minItems": 1,
            "items": question(),
        },
    }
    return {
        "RunStatus": {"type": "string", "enum": list(RunStatus)},
        "Run": {"type": "object", "properties": {**known, **ends}, "required": list(known)},
        "RunPage": closed(
            {
                "runs": {"type": "array", "items": reference("Run")},
                "next_cursor": {**TEXT_OR_NULL, "description": "Null on the last page."},
            }
        ),
        "RunStarted": closed(
            {
                "run_id": TEXT,
                "status": reference("RunStatus"),
                "events_url": TEXT,
                "created_at": TIMESTAMP,
            }
        ),
        "RunCancelled": closed({"run_id": TEXT, "status": {"const": RunStatus.CANCELLED}}),
    }


def _create(spec: DockSpec) -> dict[str, Any]:
    key = _in_header(
        "Idempotency-Key",
        "Of the caller's own: sent again with the same payload and thread, it gives the same run.",
        {"type": "string", "pattern": f"^{IDEMPOTENCY_KEY}$"},
    )
    return {
        "operationId": "createRun",
        "tags": ["runs"],
        "summary": "Start a run and do not wait for it",
        "parameters": [*options(spec), key],
        "requestBody": payload(spec),
        "responses": {
            "202": _started("It is accepted."),
            "200": _started("The same request has started it before; `status` is that of now."),
        },
    }


def _list(_spec: DockSpec) -> dict[str, Any]:
    limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
    cursor = {"type": "string", "pattern": f"^{CURSOR}$"}
    return {
        "operationId": "listRuns",
        "tags": ["runs"],
        "summary": "The caller's runs, the newest first",
        "parameters": [
            _in_query("limit", "How many at most.", limit),
            _in_query("cursor", "`next_cursor` of the page before.", cursor),
            _in_query("status", "Only those with this status.", reference("RunStatus")),
        ],
        "responses": {
            "200": {"description": "A page of runs.", "content": json_body(reference("RunPage"))}
        },
    }


def _get(_spec: DockSpec) -> dict[str, Any]:
    return {
        "operationId": "getRun",
        "tags": ["runs"],
        "summary": "Status and result of a run",
        "parameters": [_RUN_ID],
        "responses": {
            "200": {
                "description": "The run as it is now.",
                "headers": _RUN_ID_HEADER,
                "content": json_body(reference("Run")),
            }
        },
    }


def _cancel(_spec: DockSpec) -> dict[str, Any]:
    reason = {"type": "string", "pattern": f"^{REASON}$"}
    return {
        "operationId": "cancelRun",
        "tags": ["runs"],
        "summary": "Cancel a run",
        "parameters": [_RUN_ID, _in_query("reason", "What its last event says.", reason)],
        "responses": {
            "200": {
                "description": "It ends as cancelled.",
                "headers": _RUN_ID_HEADER,
                "content": json_body(reference("RunCancelled")),
            }
        },
    }


def _events(spec: DockSpec) -> dict[str, Any]:
    seconds = {"type": "number", "minimum": 1, "maximum": MAX_TIMEOUT}
    sequence = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1, "default": 0}
    place = {"type": "string", "pattern": f"^{PLACE}$"}
    return {
        "operationId": "followRun",
        "tags": ["runs"],
        "summary": "Read the events of a run, those that have been and those to come",
        "description": (
            "Server-Sent Events, in the frames of `/invoke/stream`: stored events first, then live ones, each once and "
            "in order. The stream ends after `complete`, `error` or `cancelled`, after `timeout`, and when the server "
            "shuts down; it goes on over an `interrupt`. Whoever leaves does not end the run, and may come back with "
            f"`Last-Event-ID`, as `EventSource` does by itself.\n\n{event_table(spec, followed=True)}"
        ),
        "parameters": [
            _RUN_ID,
            _in_query("timeout", "Seconds after which the stream ends.", seconds),
            _in_query("from_sequence", "The first event that is wanted.", sequence),
            _in_header(
                "Last-Event-ID",
                "`<run_id>:<sequence>` or `<sequence>` of the last event seen; wins over `from_sequence`.",
                place,
            ),
        ],
        "responses": {
            "200": {
                "description": "The events of the run.",
                "headers": _RUN_ID_HEADER,
                "content": {
                    "text/event-stream": {
                        "schema": reference("RunStreamEvent"),
                        "example": example_stream(spec),
                    }
                },
            },
            **SEEN_ALL,
        },
    }


def _resume(_spec: DockSpec) -> dict[str, Any]:
    return {
        "operationId": "resumeRun",
        "tags": ["runs"],
        "summary": "Answer what a run waits for",
        "parameters": [_RUN_ID],
        "requestBody": {
            "description": "The answer; `{interrupt_id: answer}` where there are several questions.",
            "required": True,
            "content": json_body({"description": "Any JSON."}),
        },
        "responses": {"202": _started("The run goes on.")},
    }


RUN_OPERATIONS: Final = (
    Operation("/runs", "post", _create, REFUSALS, protected=True),
    Operation(
        "/runs",
        "get",
        _list,
        tuple(error for error in _READS if error is not NotFoundError),
        protected=True,
        counted=False,
    ),
    Operation("/runs/{run_id}", "get", _get, _READS, protected=True, counted=False),
    Operation(
        "/runs/{run_id}",
        "delete",
        _cancel,
        (*_READS, RunIsOverError),
        protected=True,
        counted=False,
    ),
    Operation(
        "/runs/{run_id}/events",
        "get",
        _events,
        (*_READS, GoneError, TooManySubscribersError),
        protected=True,
        counted=False,
    ),
    Operation(
        "/runs/{run_id}/resume",
        "post",
        _resume,
        (*_READS, ConflictError, PayloadTooLargeError, UnsupportedMediaTypeError),
        protected=True,
    ),
)


def _started(says: str) -> dict[str, Any]:
    return {
        "description": says,
        "headers": _STARTED_HEADERS,
        "content": json_body(reference("RunStarted")),
    }


def _in_query(name: str, says: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": says, "schema": schema}


def _in_header(name: str, says: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": says, "schema": schema}
