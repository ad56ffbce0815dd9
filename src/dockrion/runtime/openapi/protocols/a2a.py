"""What the paths of A2A take and answer, as far as this server goes: its specification says the rest."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    OverloadedError,
    PayloadTooLargeError,
    ServiceUnavailableError,
    ShuttingDownError,
    TooManySubscribersError,
    UnsupportedMediaTypeError,
)
from dockrion.runtime.openapi.agent import reference
from dockrion.runtime.openapi.events import TEXT
from dockrion.runtime.openapi.parts import SEEN_ALL, Operation, closed, header, json_body, options
from dockrion.spec import DockSpec
from dockrion.wires.a2a.card import CARD_PATH
from dockrion.wires.a2a.requests import PATH, methods

_ID: Final = {"anyOf": [TEXT, {"type": "number"}, {"type": "null"}]}
_OBJECTS: Final = {"type": "array", "items": {"type": "object"}}
_TEXTS: Final = {"type": "array", "items": TEXT}

A2A_SCHEMAS: Final[dict[str, Any]] = {
    "A2aError": closed(
        {
            "jsonrpc": {"const": "2.0"},
            "id": _ID,
            "error": closed({"code": {"type": "integer"}, "message": TEXT, "data": _OBJECTS}),
        }
    ),
    "A2aResult": closed({"jsonrpc": {"const": "2.0"}, "id": _ID, "result": {"type": "object"}}),
    "A2aCard": closed(
        {
            "name": TEXT,
            "description": TEXT,
            "version": TEXT,
            "supportedInterfaces": {
                "type": "array",
                "items": closed({"url": TEXT, "protocolBinding": TEXT, "protocolVersion": TEXT}),
            },
            "capabilities": {"type": "object"},
            "defaultInputModes": _TEXTS,
            "defaultOutputModes": _TEXTS,
            "skills": _OBJECTS,
        }
    ),
}


def _card(_spec: DockSpec) -> dict[str, Any]:
    card = {"description": "The card.", "content": json_body(reference("A2aCard"))}
    return {
        "operationId": "getAgentCard",
        "tags": ["agent"],
        "summary": "Say what the agent is to agents and clients that speak A2A",
        "parameters": [{"name": "If-None-Match", "in": "header", "schema": TEXT}],
        "responses": {"200": card, "304": {"description": "It is the one with that `ETag`."}},
    }


def _call(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "jsonrpc": {"const": "2.0"},
        "id": _ID,
        "method": {"enum": methods()},
        "params": {"type": "object"},
    }
    body = {"type": "object", "properties": fields, "required": ["jsonrpc", "method"]}
    answers = {"anyOf": [reference("A2aResult"), reference("A2aError")]}
    events = {"type": "object", "properties": {"data": TEXT}, "required": ["data"]}
    version = {"name": "A2A-Version", "in": "header", "schema": {"enum": ["1.0", "0.3"]}}
    return {
        "operationId": "callA2a",
        "tags": ["agent"],
        "summary": "Run the agent, and look at its tasks, over the JSON-RPC of A2A",
        "parameters": [*options(spec), version],
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": {
                "description": "The result, or an error of A2A's; a stream as it comes.",
                "headers": {"X-Run-ID": header("RunId")},
                "content": {**json_body(answers), "text/event-stream": {"schema": events}},
            },
            **(SEEN_ALL if spec.streaming.async_runs else {}),
        },
    }


A2A_OPERATIONS: Final = (
    Operation(CARD_PATH, "get", _card),
    Operation(
        PATH,
        "post",
        _call,
        (
            PayloadTooLargeError,
            UnsupportedMediaTypeError,
            OverloadedError,
            ServiceUnavailableError,
            ShuttingDownError,
            TooManySubscribersError,
        ),
        protected=True,
        error_schema="A2aError",
    ),
)
