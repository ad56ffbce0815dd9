"""What `POST /mcp` takes and answers, as far as this server goes."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from dockrion.errors import (
    GoneError,
    NotFoundError,
    PermissionDeniedError,
    TooManySubscribersError,
)
from dockrion.runtime.openapi.agent import reference
from dockrion.runtime.openapi.events import TEXT
from dockrion.runtime.openapi.parts import (
    REFUSALS,
    SEEN_ALL,
    Operation,
    closed,
    json_body,
    options,
)
from dockrion.runtime.openapi.protocols.shared import asked, told
from dockrion.spec import DockSpec
from dockrion.wires.mcp.metadata import WELL_KNOWN
from dockrion.wires.mcp.rpc import ASSUMED, MAX_BATCH, REVISIONS

MCP_SCHEMAS: Final[dict[str, Any]] = {
    "McpError": {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer", "null"]},
            "error": {
                "type": "object",
                "properties": {"code": {"type": "integer"}, "message": TEXT, "data": {}},
                "required": ["code", "message"],
            },
        },
        "required": ["jsonrpc", "error"],
    },
    "McpResource": closed(
        {
            "resource": TEXT,
            "resource_name": TEXT,
            "authorization_servers": {"type": "array", "items": TEXT},
            "bearer_methods_supported": {"type": "array", "items": TEXT},
        }
    ),
    "McpMessage": {
        "type": "object",
        "description": "A request, a notification, or a response of JSON-RPC.",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "id": {"type": ["string", "integer"]},
            "method": TEXT,
            "params": {"type": "object"},
        },
        "required": ["jsonrpc"],
    },
}


def _mcp(spec: DockSpec) -> dict[str, Any]:
    version = {
        "name": "MCP-Protocol-Version",
        "in": "header",
        "description": f"The revision of the protocol; without it, {ASSUMED}.",
        "schema": {"type": "string", "enum": list(REVISIONS)},
    }
    session = {
        "name": "Mcp-Session-Id",
        "in": "header",
        "description": "What `initialize` has answered with.",
        "schema": TEXT,
    }
    message = reference("McpMessage")
    batch = {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": message}
    answer = {"anyOf": [message, reference("McpError")]}
    answers = {"anyOf": [answer, {"type": "array", "items": answer}]}
    return {
        **asked("callMcp", "Use the agent as a tool, over MCP"),
        "parameters": [*options(spec), version, session],
        "requestBody": {"required": True, "content": json_body({"anyOf": [message, batch]})},
        "responses": {
            "200": told(
                "The response; of a call that takes a stream, after its progress.", answers
            ),
            "202": {"description": "It was taken; there is no response to it."},
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _metadata(operation_id: str, _spec: DockSpec) -> dict[str, Any]:
    content = json_body(reference("McpResource"))
    return {
        "operationId": operation_id,
        "tags": ["agent"],
        "summary": "Say who issues the tokens that `/mcp` takes (RFC 9728)",
        "responses": {"200": {"description": "The metadata.", "content": content}},
    }


MCP_OPERATIONS: Final = (
    Operation(WELL_KNOWN, "get", partial(_metadata, "getResourceMetadata")),
    Operation(f"{WELL_KNOWN}/mcp", "get", partial(_metadata, "getMcpResourceMetadata")),
    Operation(
        "/mcp",
        "post",
        _mcp,
        (
            *REFUSALS,
            PermissionDeniedError,
            NotFoundError,
            GoneError,
            TooManySubscribersError,
        ),
        protected=True,
        error_schema="McpError",
    ),
)
