"""What the paths of other protocols take and answer, as far as this server goes: their own pages say the rest."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    GoneError,
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    ShuttingDownError,
    TooManySubscribersError,
    ValidationError,
)
from dockrion.runtime.openapi.agent import reference
from dockrion.runtime.openapi.events import TEXT, TEXT_OR_NULL
from dockrion.runtime.openapi.operations import ENDS
from dockrion.runtime.openapi.parts import (
    REFUSALS,
    SEEN_ALL,
    Errors,
    Operation,
    closed,
    header,
    json_body,
    options,
)
from dockrion.runtime.requests import THREAD_ID
from dockrion.spec import DockSpec
from dockrion.wires.mcp_rpc import ASSUMED, REVISIONS

WIRE_SCHEMAS: Final[dict[str, Any]] = {
    "AiSdkError": closed({"type": {"const": "error"}, "errorText": TEXT, "code": TEXT}),
    "AiSdkMessage": {
        "type": "object",
        "description": "A UI message; `content` in place of `parts` is taken, too.",
        "properties": {
            "id": TEXT,
            "role": {"enum": ["user", "assistant", "system"]},
            "parts": {
                "type": "array",
                "items": {"type": "object", "properties": {"type": TEXT}, "required": ["type"]},
            },
        },
        "required": ["role", "parts"],
    },
    "AgUiError": closed({"type": {"const": "RUN_ERROR"}, "message": TEXT, "code": TEXT}),
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
    "OpenAIError": closed(
        {
            "error": closed(
                {"message": TEXT, "type": TEXT, "param": TEXT, "code": TEXT},
            )
        }
    ),
    "OpenAIModel": closed(
        {
            "id": TEXT,
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": TEXT,
        }
    ),
    "OpenAIMessage": {
        "type": "object",
        "properties": {
            "role": {"enum": ["user", "assistant", "system", "developer", "tool"]},
            "content": {
                "anyOf": [
                    TEXT,
                    {"type": "array", "minItems": 1, "items": reference("OpenAIPart")},
                ]
            },
        },
        "required": ["role", "content"],
    },
    "OpenAIPart": {
        "type": "object",
        "description": "A text, or what else agents take that get whole messages.",
        "properties": {"type": TEXT, "text": TEXT},
        "required": ["type"],
    },
    "OpenAIResponse": {
        "type": "object",
        "properties": {
            "id": TEXT,
            "object": {"const": "response"},
            "status": {
                "enum": [
                    "queued",
                    "in_progress",
                    "completed",
                    "incomplete",
                    "failed",
                    "cancelled",
                ]
            },
            "output": {"type": "array", "items": {"type": "object"}},
        },
        "required": ["id", "object", "status", "output"],
    },
}
_READS: Final[Errors] = (
    ValidationError,
    NotFoundError,
    ServiceUnavailableError,
    ShuttingDownError,
)
_FLAG: Final = {"type": "boolean", "default": False}
_MESSAGES: Final = {"type": "array", "minItems": 1, "items": reference("OpenAIMessage")}


def _ag_ui(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "threadId": {**TEXT, "pattern": f"^{THREAD_ID}$", "description": "The conversation."},
        "runId": {**TEXT, "minLength": 1, "description": "What the page calls this run."},
        "messages": {"type": "array", "items": reference("OpenAIMessage")},
        "resume": {"type": "array", "items": {"type": "object"}},
    }
    new = {"properties": {"messages": {"minItems": 1}, "resume": {"maxItems": 0}}}
    answers = {"properties": {"resume": {"minItems": 1}}, "required": ["resume"]}
    body = {
        "type": "object",
        "properties": fields,
        "required": ["threadId", "runId", "messages"],
        "anyOf": [new, answers],
    }
    answer = {
        "description": "The events of AG-UI, each as soon as the agent emits it.",
        "headers": {"X-Run-ID": header("RunId")},
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
    return {
        **_asked("runAgUi", "Run the agent for a page that speaks AG-UI"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": answer,
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _ai_sdk(spec: DockSpec) -> dict[str, Any]:
    messages = {"type": "array", "minItems": 1, "items": reference("AiSdkMessage")}
    fields = {
        "id": {**TEXT, "pattern": f"^{THREAD_ID}$", "description": "The chat."},
        "messages": messages,
    }
    body = {"type": "object", "properties": fields, "required": ["messages"]}
    return {
        **_asked("runAiSdk", "Run the agent for a page that uses the AI SDK"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": _UI_STREAM,
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _ai_sdk_again(spec: DockSpec) -> dict[str, Any]:
    chat = {"name": "chat_id", "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
    return {
        **_asked("resumeAiSdk", "Follow the run that goes on in a chat, from its first event"),
        "parameters": [
            chat,
            *(one for one in options(spec) if one["name"] not in ("run_id", "X-Run-ID")),
        ],
        "responses": {
            "200": _UI_STREAM,
            "204": {"description": "None goes on that is held."},
        },
    }


def _chat(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "model": {**TEXT, "description": "Any: there is one agent here."},
        "messages": _MESSAGES,
        "stream": _FLAG,
        "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
    }
    body = {"type": "object", "properties": fields, "required": ["messages"]}
    answer = closed(
        {
            "id": TEXT,
            "object": {"const": "chat.completion"},
            "created": {"type": "integer"},
            "model": TEXT,
            "choices": {"type": "array", "items": {"type": "object"}},
        }
    )
    return {
        **_asked("createChatCompletion", "Talk to the agent as to a model of OpenAI's"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": _told("The reply; with `stream`, as it comes.", answer),
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
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
    batch = {"type": "array", "minItems": 1, "items": message}
    answer = {"anyOf": [message, reference("McpError")]}
    answers = {"anyOf": [answer, {"type": "array", "items": answer}]}
    return {
        **_asked("callMcp", "Use the agent as a tool, over MCP"),
        "parameters": [*options(spec), version, session],
        "requestBody": {"required": True, "content": json_body({"anyOf": [message, batch]})},
        "responses": {
            "200": _told(
                "The response; of a call that takes a stream, after its progress.", answers
            ),
            "202": {"description": "It was taken; there is no response to it."},
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _respond(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "model": {**TEXT, "description": "Any: there is one agent here."},
        "input": {"anyOf": [TEXT, {"type": "array", "minItems": 1, "items": {"type": "object"}}]},
        "instructions": TEXT_OR_NULL,
        "stream": _FLAG,
        "background": {**_FLAG, "description": "Whether the run goes on without its caller."},
        "previous_response_id": {
            **TEXT_OR_NULL,
            "description": "Goes on in the thread of that one.",
        },
    }
    body = {"type": "object", "properties": fields, "required": ["input"]}
    return {
        **_asked("createResponse", "Ask the agent for a response of OpenAI's"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": _told("The response; with `stream`, as it comes.", reference("OpenAIResponse")),
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _get_response(_spec: DockSpec) -> dict[str, Any]:
    after = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    return {
        **_asked("getResponse", "Look at a response whose run is kept, or follow it again"),
        "parameters": [
            _RESPONSE_ID,
            {"name": "stream", "in": "query", "schema": _FLAG},
            {
                "name": "starting_after",
                "in": "query",
                "description": "The `sequence_number` of the last event seen.",
                "schema": after,
            },
        ],
        "responses": {
            "200": _told("The response, or its events.", reference("OpenAIResponse"), run=False)
        },
    }


def _cancel_response(_spec: DockSpec) -> dict[str, Any]:
    content = json_body(reference("OpenAIResponse"))
    return {
        **_asked("cancelResponse", "Cancel the run of a response"),
        "parameters": [_RESPONSE_ID],
        "responses": {"200": {"description": "It ends as cancelled.", "content": content}},
    }


def _models(_spec: DockSpec) -> dict[str, Any]:
    listed = {
        "object": {"const": "list"},
        "data": {"type": "array", "items": reference("OpenAIModel")},
    }
    content = json_body(closed(listed))
    return {
        **_asked("listModels", "The agent, as the one model that there is"),
        "responses": {"200": {"description": "A list of one.", "content": content}},
    }


def _model(spec: DockSpec) -> dict[str, Any]:
    content = json_body(reference("OpenAIModel"))
    return {
        **_asked("getModel", "The agent, as a model"),
        "parameters": [
            {"name": "model", "in": "path", "required": True, "schema": {"enum": [spec.agent.name]}}
        ],
        "responses": {"200": {"description": "The agent.", "content": content}},
    }


# What is in `data` is for the protocol to say.
_EVENT: Final = {"type": "object", "properties": {"data": TEXT}, "required": ["data"]}
_UI_STREAM: Final = {
    "description": "The chunks of a UI message, each as soon as the agent emits it.",
    "headers": {"X-Run-ID": header("RunId")},
    "content": {"text/event-stream": {"schema": _EVENT}},
}
_RESPONSE_ID: Final = {"name": "response_id", "in": "path", "required": True, "schema": TEXT}
_OPENAI: Final = "OpenAIError"

WIRE_OPERATIONS: Final = (
    Operation(
        "/ag-ui",
        "post",
        _ag_ui,
        (*REFUSALS, NotFoundError, GoneError, TooManySubscribersError),
        protected=True,
        error_schema="AgUiError",
    ),
    Operation(
        "/ai-sdk",
        "post",
        _ai_sdk,
        (*REFUSALS, NotFoundError, GoneError, TooManySubscribersError),
        protected=True,
        error_schema="AiSdkError",
    ),
    Operation(
        "/ai-sdk/{chat_id}/stream",
        "get",
        _ai_sdk_again,
        (ValidationError, ServiceUnavailableError, ShuttingDownError, TooManySubscribersError),
        protected=True,
        counted=False,
        error_schema="AiSdkError",
    ),
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
    Operation(
        "/v1/chat/completions",
        "post",
        _chat,
        (*REFUSALS, *ENDS, GoneError),
        protected=True,
        held_errors=(TooManySubscribersError,),
        error_schema=_OPENAI,
    ),
    Operation(
        "/v1/responses",
        "post",
        _respond,
        (*REFUSALS, *ENDS, GoneError, TooManySubscribersError),
        protected=True,
        error_schema=_OPENAI,
    ),
    Operation(
        "/v1/responses/{response_id}",
        "get",
        _get_response,
        (*_READS, TooManySubscribersError),
        protected=True,
        counted=False,
        error_schema=_OPENAI,
    ),
    Operation(
        "/v1/responses/{response_id}/cancel",
        "post",
        _cancel_response,
        (*_READS, TooManySubscribersError),
        protected=True,
        counted=False,
        error_schema=_OPENAI,
    ),
    Operation("/v1/models", "get", _models, protected=True, counted=False, error_schema=_OPENAI),
    Operation(
        "/v1/models/{model}",
        "get",
        _model,
        (NotFoundError,),
        protected=True,
        counted=False,
        error_schema=_OPENAI,
    ),
)


def _asked(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "tags": ["agent"], "summary": summary}


def _told(says: str, schema: dict[str, Any], *, run: bool = True) -> dict[str, Any]:
    content = {**json_body(schema), "text/event-stream": {"schema": _EVENT}}
    headers = {"headers": {"X-Run-ID": header("RunId")}} if run else {}
    return {"description": says, **headers, "content": content}
