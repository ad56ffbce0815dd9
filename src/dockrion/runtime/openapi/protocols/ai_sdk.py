"""What the paths of the AI SDK take and answer, as far as this server goes."""

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
from dockrion.runtime.openapi.events import TEXT
from dockrion.runtime.openapi.parts import (
    REFUSALS,
    SEEN_ALL,
    Operation,
    closed,
    header,
    json_body,
    options,
)
from dockrion.runtime.openapi.protocols.shared import EVENT, asked
from dockrion.runtime.requests import THREAD_ID
from dockrion.spec import DockSpec

AI_SDK_SCHEMAS: Final[dict[str, Any]] = {
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
}
_STREAM: Final = {
    "description": "The chunks of a UI message, each as soon as the agent emits it.",
    "headers": {"X-Run-ID": header("RunId")},
    "content": {"text/event-stream": {"schema": EVENT}},
}


def _ai_sdk(spec: DockSpec) -> dict[str, Any]:
    messages = {"type": "array", "minItems": 1, "items": reference("AiSdkMessage")}
    fields = {
        "id": {**TEXT, "pattern": f"^{THREAD_ID}$", "description": "The chat."},
        "messages": messages,
    }
    body = {"type": "object", "properties": fields, "required": ["messages"]}
    return {
        **asked("runAiSdk", "Run the agent for a page that uses the AI SDK"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": _STREAM,
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


def _ai_sdk_again(spec: DockSpec) -> dict[str, Any]:
    chat = {"name": "chat_id", "in": "path", "required": True, "schema": {**TEXT, "minLength": 1}}
    return {
        **asked("resumeAiSdk", "Follow the run that goes on in a chat, from its first event"),
        "parameters": [
            chat,
            *(one for one in options(spec) if one["name"] not in ("run_id", "X-Run-ID")),
        ],
        "responses": {
            "200": _STREAM,
            "204": {"description": "None goes on that is held."},
        },
    }


AI_SDK_OPERATIONS: Final = (
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
)
