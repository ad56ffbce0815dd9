"""What the operations of the document are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dockrion.errors import (
    ConflictError,
    DockrionError,
    OverloadedError,
    PayloadTooLargeError,
    ServiceUnavailableError,
    ShuttingDownError,
    UnsupportedMediaTypeError,
    ValidationError,
)
from dockrion.events.ids import RUN_ID
from dockrion.runs.schema import Schema
from dockrion.runtime.openapi.agent import agent_names, reference
from dockrion.runtime.openapi.events import SECONDS, TEXT
from dockrion.runtime.requests import THREAD_ID
from dockrion.runtime.sample import sample_payload
from dockrion.spec import DockSpec

Errors = tuple[type[DockrionError], ...]


class Operation(NamedTuple):
    """`errors` are those that every caller may get, and `held_errors` where direct streams can be resumed.

    With `protected`, callers without credentials get others; where `counted`, those who call too often, too.
    `error_schema` is the shape of all of them where a protocol has its own.
    """

    path: str
    method: str
    describe: Callable[[DockSpec], dict[str, Any]]
    errors: Errors = ()
    protected: bool = False
    held_errors: Errors = ()
    counted: bool = True
    error_schema: str | None = None


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

SEEN_ALL: Final = {
    "204": {
        "description": "`Last-Event-ID` names the last event of the run: there is nothing more.",
        "headers": {"X-Run-ID": {"$ref": "#/components/headers/RunId"}},
    }
}

COUNT: Final = {"type": "integer", "minimum": 0}
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
        "usage": {
            "type": "object",
            "description": "There when the agent's models have told what they used.",
            "properties": {"input_tokens": COUNT, "output_tokens": COUNT},
            "required": ["input_tokens", "output_tokens"],
        },
        "truncated": {"const": True, "description": "There when the output was cut to its limit."},
    },
    "required": ["agent", "framework", "run_id", "latency_seconds"],
}


def options(spec: DockSpec) -> list[dict[str, Any]]:
    """The options of a run, each as a query parameter and, where there is none, as a header."""
    says = "The framework's conversation thread; without it, the run's id."
    named = [("thread_id", "X-Thread-ID", f"^{THREAD_ID}$", says)]
    if spec.streaming.allow_client_ids:
        says = "An id of the caller's own for the run; it must not be taken."
        named.insert(0, ("run_id", "X-Run-ID", f"^{RUN_ID}$", says))
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
            for query, in_header, pattern, says in named
            for name, place in ((query, "query"), (in_header, "header"))
        ),
        request_id,
    ]


def payload(spec: DockSpec) -> dict[str, Any]:
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


def header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def question() -> dict[str, Any]:
    """Return the schema of what a run waits for."""
    return closed({"interrupt_id": TEXT, "value": {"description": "What the agent asks."}})


def closed(fields: dict[str, Any]) -> dict[str, Any]:
    """An object with these fields, all of them."""
    return {"type": "object", "properties": fields, "required": list(fields)}
