"""What the paths of OpenAI's protocols take and answer, as far as this server goes."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    GoneError,
    NotFoundError,
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
    json_body,
    options,
)
from dockrion.runtime.openapi.protocols.shared import FLAG, MESSAGES, asked, told
from dockrion.spec import DockSpec

OPENAI_SCHEMAS: Final[dict[str, Any]] = {
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
_RESPONSE_ID: Final = {"name": "response_id", "in": "path", "required": True, "schema": TEXT}
_ERROR: Final = "OpenAIError"


def _chat(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "model": {**TEXT, "description": "Any: there is one agent here."},
        "messages": MESSAGES,
        "stream": FLAG,
        "stream_options": {"type": "object", "properties": {"include_usage": FLAG}},
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
        **asked("createChatCompletion", "Talk to the agent as to a model of OpenAI's"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": told("The reply; with `stream`, as it comes.", answer),
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _respond(spec: DockSpec) -> dict[str, Any]:
    fields = {
        "model": {**TEXT, "description": "Any: there is one agent here."},
        "input": {"anyOf": [TEXT, {"type": "array", "minItems": 1, "items": {"type": "object"}}]},
        "instructions": TEXT_OR_NULL,
        "stream": FLAG,
        "background": {**FLAG, "description": "Whether the run goes on without its caller."},
        "previous_response_id": {
            **TEXT_OR_NULL,
            "description": "Goes on in the thread of that one.",
        },
    }
    body = {"type": "object", "properties": fields, "required": ["input"]}
    return {
        **asked("createResponse", "Ask the agent for a response of OpenAI's"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": told("The response; with `stream`, as it comes.", reference("OpenAIResponse")),
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _get_response(_spec: DockSpec) -> dict[str, Any]:
    after = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
    return {
        **asked("getResponse", "Look at a response whose run is kept, or follow it again"),
        "parameters": [
            _RESPONSE_ID,
            {"name": "stream", "in": "query", "schema": FLAG},
            {
                "name": "starting_after",
                "in": "query",
                "description": "The `sequence_number` of the last event seen.",
                "schema": after,
            },
        ],
        "responses": {
            "200": told("The response, or its events.", reference("OpenAIResponse"), run=False)
        },
    }


def _cancel_response(_spec: DockSpec) -> dict[str, Any]:
    content = json_body(reference("OpenAIResponse"))
    return {
        **asked("cancelResponse", "Cancel the run of a response"),
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
        **asked("listModels", "The agent, as the one model that there is"),
        "responses": {"200": {"description": "A list of one.", "content": content}},
    }


def _model(spec: DockSpec) -> dict[str, Any]:
    content = json_body(reference("OpenAIModel"))
    return {
        **asked("getModel", "The agent, as a model"),
        "parameters": [
            {"name": "model", "in": "path", "required": True, "schema": {"enum": [spec.agent.name]}}
        ],
        "responses": {"200": {"description": "The agent.", "content": content}},
    }


OPENAI_OPERATIONS: Final = (
    Operation(
        "/v1/chat/completions",
        "post",
        _chat,
        (*REFUSALS, *ENDS, GoneError),
        protected=True,
        held_errors=(TooManySubscribersError,),
        error_schema=_ERROR,
    ),
    Operation(
        "/v1/responses",
        "post",
        _respond,
        (*REFUSALS, *ENDS, GoneError, TooManySubscribersError),
        protected=True,
        error_schema=_ERROR,
    ),
    Operation(
        "/v1/responses/{response_id}",
        "get",
        _get_response,
        (*_READS, TooManySubscribersError),
        protected=True,
        counted=False,
        error_schema=_ERROR,
    ),
    Operation(
        "/v1/responses/{response_id}/cancel",
        "post",
        _cancel_response,
        (*_READS, TooManySubscribersError),
        protected=True,
        counted=False,
        error_schema=_ERROR,
    ),
    Operation("/v1/models", "get", _models, protected=True, counted=False, error_schema=_ERROR),
    Operation(
        "/v1/models/{model}",
        "get",
        _model,
        (NotFoundError,),
        protected=True,
        counted=False,
        error_schema=_ERROR,
    ),
)
