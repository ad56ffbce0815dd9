"""schemathesis drives the app by its own document: what it promises holds, and no input is a 500."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from dockrion.testing import app_for

EXAMPLES = 30
IO_SCHEMA = {
    "input": {
        "properties": {
            "q": {"type": "string", "minLength": 1},
            "n": {"type": ["integer", "null"], "minimum": 1, "default": None},
            "tree": {"$ref": "#/$defs/Tree"},
        },
        "required": ["q"],
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
            }
        },
    },
    "output": {"properties": {"text": {"type": "string"}}, "required": ["text"]},
}


async def answer(payload: Any) -> Any:
    yield "token"
    yield {"type": "progress", "step": "half", "progress": 0.5}
    yield {"text": payload["q"]}


APP = app_for(
    answer, io_schema=IO_SCHEMA, expose={"protocols": ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"]}
)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
OPERATIONS: dict[str, Any] = {
    result.ok().label: result.ok()
    for result in SCHEMA.get_all_operations()
    if isinstance(result, Ok)
}
BRIEFLY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def exercise(label: str, mode: GenerationMode) -> list[int]:
    """Call one operation with generated data; return the statuses of its answers."""
    statuses: list[int] = []

    @BRIEFLY
    @given(OPERATIONS[label].as_strategy(generation_mode=mode))
    def calls(case: Case) -> None:
        response = case.call()
        statuses.append(response.status_code)
        assert response.status_code < 500, response.text
        case.validate_response(response, excluded_checks=_beside_the_point(case))

    calls()
    return statuses


def _beside_the_point(case: Case) -> list[Any]:
    # Then the body is not looked at, and no schema can say which runs there are, how far they are, what they wait
    # for and which pages come after them: others are 404, 409 and 410, made-up cursors 400.
    # Nor what a conversation must have for an agent to answer it, and which thread ids responses hold.
    beside = ("/runs", "/v1/", "/ag-ui", "/ai-sdk", "/a2a", "/mcp")
    if "Last-Event-ID" in (case.headers or {}) or case.path.startswith(beside):
        return CHECKS.get_by_names(["positive_data_acceptance", "negative_data_rejection"])
    return []


def test_every_operation_is_exercised() -> None:
    described = {
        f"{method.upper()} {path}"
        for path, item in APP.openapi()["paths"].items()
        for method in item
    }
    assert described == OPERATIONS.keys()
    assert {"POST /invoke", "POST /invoke/stream", "GET /health", "GET /info"} <= described


@pytest.mark.parametrize("label", OPERATIONS)
def test_valid_requests_get_what_the_document_promises(label: str) -> None:
    statuses = exercise(label, GenerationMode.POSITIVE)
    good = {202} if label == "POST /runs" else {200}
    about_runs = label.partition(" ")[2].startswith(
        ("/runs", "/v1/", "/ag-ui", "/ai-sdk", "/a2a", "/mcp")
    )
    assert set(statuses) <= {200, 202, 204, 400, 404, 409, 410} if about_runs else {200, 410}
    # Of runs, most ids that come up belong to none.
    # In conversations, most that come up have nothing that a user says: 400.
    if label not in ("POST /ag-ui", "POST /ai-sdk", "POST /v1/chat/completions"):
        none = {204} if "{chat_id}" in label else {404}
        assert set(statuses) & (none if "_id}" in label else good)


@pytest.mark.parametrize("label", ["POST /invoke", "POST /invoke/stream", "POST /runs"])
def test_invalid_requests_are_refused_as_the_document_says(label: str) -> None:
    statuses = exercise(label, GenerationMode.NEGATIVE)
    assert 400 in statuses
