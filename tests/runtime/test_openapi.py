"""`/openapi.json`: valid, true to the Dockfile, with the agent's schemas, the errors and the events."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dockrion.errors import AuthError, RateLimitError, ValidationError
from dockrion.events import sse
from dockrion.events.model import (
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.runtime.openapi import Security, document
from dockrion.runtime.responses import error_body
from dockrion.spec import DockSpec
from dockrion.testing import app_for, read_sse, request, running
from dockrion.version import VERSION

INPUT = {
    "properties": {
        "q": {"$ref": "#/$defs/Query"},
        "n": {"type": ["integer", "null"], "default": None},
    },
    "required": ["q"],
    "$defs": {
        "Query": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Query"}}},
    },
}
OUTPUT = {"type": "array", "items": {"type": "string"}}
SECTIONS: list[dict[str, Any]] = [
    {},
    {"io_schema": {"input": INPUT, "output": OUTPUT}},
    {"io_schema": {"input": {"type": "string"}, "output": {"type": "null"}}},
    {"io_schema": {"input": {"$id": "https://example.com/in", **INPUT}}},
    {"expose": {"streaming": "none"}},
    {"expose": {"rest": False}},
    {"streaming": {"allow_client_ids": False, "events": {"allowed": ["token", "custom:a"]}}},
    {"streaming": {"events": {"allowed": "minimal"}}},
    {"metadata": {"version": "3"}},
]
EVENTS: list[Event] = [
    Started("a", "custom"),
    Started("a", "custom", attempt=2),
    Token("t"),
    Token("t", "stop", "node", "message"),
    Step("s"),
    Step("s", 1.5, ["a"], []),
    Progress("p", 1.0),
    Checkpoint("c", {"a": 1}),
    ToolCall("t", None, {}),
    ToolResult("t", "1", [], 2.0, "broken"),
    Policy("r", "m"),
    Custom("thing", 1),
    Interrupt({"q": 1}, "i"),
    Complete(
        {"a": 1},
        0.5,
        {"agent": "a", "framework": "custom", "run_id": "r", "latency_seconds": 0.5},
    ),
    Failed("broken", "TIMEOUT"),
    Cancelled("enough"),
]


async def nothing(payload: Any) -> Any:
    return {}


def document_of(name: str = "test", **sections: Any) -> dict[str, Any]:
    agent = {"name": name, "handler": "in_memory:handler"}
    return app_for(nothing, agent=agent, **sections).openapi()


def resolved(whole: dict[str, Any], name: str) -> jsonschema_rs.Draft202012Validator:
    """Return a validator of one component, in its place in the document."""
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": whole["components"]}
    )


@pytest.mark.parametrize("sections", SECTIONS)
def test_the_document_is_valid_openapi_3_1(sections: dict[str, Any]) -> None:
    whole = document_of(**sections)
    assert whole["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(whole).validate()


async def test_the_document_is_served_as_json() -> None:
    app = app_for(nothing)
    async with running(app), request(app, "GET", "/openapi.json") as exchange:
        assert await exchange.json() == app.openapi()
    assert exchange.headers["content-type"] == "application/json"


def test_title_and_version_are_the_agents() -> None:
    agent = {"name": "my-agent", "handler": "a:b", "description": "Does it."}
    info = app_for(nothing, agent=agent, metadata={"version": "3"}).openapi()["info"]
    assert info == {"title": "my-agent", "version": "3", "description": "Does it."}
    assert document_of()["info"]["version"] == VERSION


@pytest.mark.parametrize(
    ("name", "prefix"), [("echo", "Echo"), ("my-2nd-agent", "My2ndAgent"), ("a--b-", "AB")]
)
def test_components_carry_the_agents_name_in_pascal_case(name: str, prefix: str) -> None:
    schemas = document_of(name)["components"]["schemas"]
    assert {f"{prefix}Input", f"{prefix}Output", f"{prefix}InvokeResponse"} <= schemas.keys()


@pytest.mark.parametrize(
    ("expose", "paths"),
    [
        ({}, {"/invoke", "/invoke/stream"}),
        ({"streaming": "none"}, {"/invoke"}),
        ({"rest": False}, {"/invoke/stream"}),
    ],
)
def test_only_paths_that_are_on_are_in_it(expose: dict[str, Any], paths: set[str]) -> None:
    found = document_of(expose=expose)["paths"].keys()
    assert {path for path in found if path.startswith("/invoke")} == paths


async def test_every_path_of_the_document_is_served_and_every_served_one_is_in_it() -> None:
    app = app_for(nothing)
    described = app.openapi()["paths"]
    pages = {
        "/",
        "/playground/{file}",
        "/openapi.json",
        "/docs",
        "/docs/{file}",
        "/redoc",
        "/redoc/{file}",
    }
    assert set(app._paths) - pages == described.keys()  # pyright: ignore[reportAttributeAccessIssue]
    async with running(app):
        for path, item in described.items():
            for method in item:
                filled = path.replace("{run_id}", "unknown")
                async with request(app, method.upper(), filled) as exchange:
                    await exchange.read()
                assert str(exchange.status) in item[method]["responses"], path


def test_the_agents_schemas_say_what_they_said() -> None:
    whole = document_of(io_schema={"input": INPUT, "output": OUTPUT})
    schemas = whole["components"]["schemas"]
    assert schemas["TestOutput"] == OUTPUT
    assert schemas["TestInput"]["type"] == "object"
    assert schemas["TestInput"]["properties"]["n"] == {"type": ["integer", "null"], "default": None}
    validator = resolved(whole, "TestInput")
    assert validator.is_valid({"q": {"next": {}}})
    assert not validator.is_valid({"q": {"next": 1}})
    assert not validator.is_valid([])


def test_without_schemas_any_json_goes_in_and_an_object_comes_out() -> None:
    whole = document_of()
    assert all(resolved(whole, "TestInput").is_valid(value) for value in (None, 1, "a", [], {}))
    assert resolved(whole, "TestOutput").is_valid({})
    assert not resolved(whole, "TestOutput").is_valid("text")


@pytest.mark.parametrize(
    ("schema", "media"),
    [
        (None, {"example": {}}),
        (INPUT, {"example": {"q": {}}}),
        ({"type": "string", "pattern": "^x{3}-y{5}$"}, {}),
    ],
)
def test_the_example_of_a_payload_is_there_only_when_it_fits(schema: Any, media: Any) -> None:
    operation = document_of(io_schema={"input": schema})["paths"]["/invoke"]["post"]
    found = operation["requestBody"]["content"]["application/json"]
    assert found == {"schema": {"$ref": "#/components/schemas/TestInput"}, **media}


def test_only_components_that_something_refers_to_are_in_it() -> None:
    without: dict[str, Any] = {"expose": {"streaming": "none"}, "streaming": {"async_runs": False}}
    assert document_of(**without)["components"]["schemas"].keys() == {
        "TestInput",
        "TestOutput",
        "TestInvokeResponse",
        "RunMetadata",
        "Error",
        "Problem",
    }


def test_options_are_query_parameters_and_headers() -> None:
    def names(**sections: Any) -> set[tuple[str, str]]:
        operation = document_of(**sections)["paths"]["/invoke"]["post"]
        return {(one["in"], one["name"]) for one in operation["parameters"]}

    threads = {("query", "thread_id"), ("header", "X-Thread-ID"), ("header", "X-Request-ID")}
    assert names() == threads | {("query", "run_id"), ("header", "X-Run-ID")}
    assert names(streaming={"allow_client_ids": False}) == threads


def test_errors_come_with_their_codes() -> None:
    def codes(path: str) -> dict[str, list[str]]:
        responses = document_of()["paths"][path]["post"]["responses"]
        return {
            status: response["content"]["application/json"]["schema"]["allOf"][1]["properties"][
                "code"
            ]["enum"]
            for status, response in responses.items()
            if status != "200"
        }

    refused = {
        "400": ["VALIDATION_ERROR"],
        "409": ["CONFLICT"],
        "413": ["PAYLOAD_TOO_LARGE"],
        "415": ["UNSUPPORTED_MEDIA_TYPE"],
        "500": ["INTERNAL_ERROR"],
        "503": ["OVERLOADED", "SERVICE_UNAVAILABLE", "SHUTTING_DOWN"],
    }
    ended = ["AGENT_EXECUTION_ERROR", "INTERNAL_ERROR", "INVALID_OUTPUT"]
    assert codes("/invoke") == {**refused, "500": ended, "504": ["TIMEOUT"]}
    assert codes("/invoke/stream") == {**refused, "410": ["GONE"]}


@pytest.mark.parametrize("connection", [{"on_disconnect": "continue"}, {"resume_window": 5}])
def test_streams_that_can_be_resumed_have_what_a_resume_answers(connection: Any) -> None:
    def stream_of(**sections: Any) -> tuple[set[str], bool, str]:
        whole = document_of(**sections)
        operation = whole["paths"]["/invoke/stream"]["post"]
        [last] = [one for one in operation["parameters"] if one["name"] == "Last-Event-ID"]
        gap = "GapEvent" in str(whole["components"]["schemas"]["StreamEvent"])
        return set(operation["responses"]), gap, last["description"]

    plain, no_gap, says = stream_of()
    held, gap, says_more = stream_of(streaming={"connection": connection})
    assert held - plain == {"204", "429"}
    assert (no_gap, gap) == (False, True)
    assert "goes on with the next event" in says_more
    assert "goes on" not in says


def test_a_gap_has_its_two_numbers_and_belongs_to_the_connection() -> None:
    whole = document_of(streaming={"connection": {"resume_window": 5}})
    gap = whole["components"]["schemas"]["GapEvent"]
    assert set(gap["required"]) == {"type", "run_id", "timestamp", "from", "to"}
    refused = whole["paths"]["/invoke/stream"]["post"]["responses"]["429"]
    assert "TOO_MANY_SUBSCRIBERS" in str(refused["content"])


def test_the_shapes_of_errors_are_those_that_are_sent() -> None:
    spec = spec_of()
    security = Security({"APIKeyHeader": {}}, (AuthError, RateLimitError))
    whole = document(spec, ["/invoke"], security)
    problem = {"pointer": "/q", "message": "m", "type": "type"}
    refused = error_body(ValidationError("no", details=[problem]))
    assert resolved(whole, "Error").is_valid(refused)
    assert resolved(whole, "AuthError").is_valid(error_body(AuthError("API key required")))
    assert not resolved(whole, "AuthError").is_valid(refused)
    assert resolved(whole, "Problem").is_valid(problem)


def test_open_operations_have_no_security_and_protected_ones_take_any_scheme() -> None:
    opened = document_of()
    assert "securitySchemes" not in opened["components"]
    answers = [op["responses"] for item in opened["paths"].values() for op in item.values()]
    assert all("401" not in responses for responses in answers)
    assert all("security" not in op for item in opened["paths"].values() for op in item.values())

    schemes = {
        "APIKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "BearerAuth": {"type": "http", "scheme": "bearer"},
    }
    closed = document(
        spec_of(), ["/invoke", "/health"], Security(schemes, (AuthError, RateLimitError))
    )
    OpenAPIV31SpecValidator(closed).validate()
    assert closed["components"]["securitySchemes"] == schemes
    invoke = closed["paths"]["/invoke"]["post"]
    assert invoke["security"] == [{"APIKeyHeader": []}, {"BearerAuth": []}]
    assert {"401", "429"} <= invoke["responses"].keys()
    assert "security" not in closed["paths"]["/health"]["get"]


@pytest.mark.parametrize("event", EVENTS)
def test_the_schema_of_an_event_names_the_fields_that_are_sent(event: Event) -> None:
    whole = document_of()
    kind, fields = sse.event_fields(event)
    common = {"id": "r:0", "run_id": "r", "sequence": 0, "timestamp": "2025-01-31T12:00:00Z"}
    sent = {**common, "type": kind, **fields}
    union = whole["components"]["schemas"]["StreamEvent"]["properties"]["data"]["contentSchema"]
    fitting = [
        name
        for name in (one["$ref"].rpartition("/")[2] for one in union["oneOf"])
        if resolved(whole, name).is_valid(sent)
    ]
    assert len(fitting) == 1
    assert sent.keys() <= whole["components"]["schemas"][fitting[0]]["properties"].keys()


@pytest.mark.parametrize(
    ("allowed", "sent"),
    [
        ("minimal", set()),
        ("chat", {"TokenEvent"}),
        (["custom", "heartbeat"], {"CustomEvent", "HeartbeatEvent"}),
    ],
)
def test_only_events_that_the_dockfile_lets_out_are_described(allowed: Any, sent: set[str]) -> None:
    schemas = document_of(streaming={"events": {"allowed": allowed}})["components"]["schemas"]
    always = {"StartedEvent", "InterruptEvent", "CompleteEvent", "ErrorEvent", "CancelledEvent"}

    def named_by(component: str) -> set[str]:
        of_data = schemas[component]["properties"]["data"]["contentSchema"]["oneOf"]
        return {one["$ref"].rpartition("/")[2] for one in of_data}

    assert named_by("StreamEvent") == always | sent
    assert named_by("RunStreamEvent") == always | sent | {"GapEvent", "TimeoutEvent"}
    assert {name for name in schemas if name.endswith("Event")} == {
        *named_by("RunStreamEvent"),
        "StreamEvent",
        "RunStreamEvent",
    }


def test_a_heartbeat_has_no_id_and_custom_events_have_the_names_of_the_list() -> None:
    whole = document_of(streaming={"events": {"allowed": ["heartbeat", "custom:a", "custom:b"]}})
    frame = sse.heartbeat("r", "2025-01-31T12:00:00Z")
    [beat] = [event.json() for event in read_sse(frame)]
    assert resolved(whole, "HeartbeatEvent").is_valid(beat)
    assert whole["components"]["schemas"]["CustomEvent"]["properties"]["type"] == {
        "enum": ["custom:a", "custom:b"]
    }


def test_the_example_of_the_stream_fits_its_schema() -> None:
    whole = document_of(io_schema={"output": OUTPUT})
    operation = whole["paths"]["/invoke/stream"]["post"]
    media = operation["responses"]["200"]["content"]["text/event-stream"]
    assert media["schema"] == {"$ref": "#/components/schemas/StreamEvent"}
    events = list(read_sse(media["example"].encode()))
    assert [event.event for event in events] == ["started", "token", "complete"]
    for event in events:
        name = f"{event.event.capitalize()}Event"
        resolved(whole, name).validate(event.json())
    assert "| `token` |" in operation["description"]


def test_routes_of_the_user_are_in_it_too() -> None:
    app = app_for(nothing)

    @app.get("/extra/{number}")
    def extra(number: int) -> int:
        return number

    whole = app.openapi()
    OpenAPIV31SpecValidator(whole).validate()
    assert {"/extra/{number}", "/invoke"} <= whole["paths"].keys()
    assert {"HTTPValidationError", "TestInput"} <= whole["components"]["schemas"].keys()


def test_a_changed_document_changes_no_other_app() -> None:
    changed = document_of()
    changed["components"]["headers"]["RunId"]["description"] = "changed"
    assert document_of()["components"]["headers"]["RunId"]["description"] != "changed"


def spec_of() -> DockSpec:
    return DockSpec.model_validate(
        {
            "version": "1.0",
            "agent": {"name": "test", "handler": "a:b"},
            "io_schema": {},
            "expose": {},
        }
    )
