"""What the operations of several protocols have: messages of chats, answers that may be streams."""

from __future__ import annotations

from typing import Any, Final

from dockrion.runtime.openapi.agent import reference
from dockrion.runtime.openapi.events import TEXT
from dockrion.runtime.openapi.parts import (
    header,
    json_body,
)

CHAT_SCHEMAS: Final[dict[str, Any]] = {
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
}
FLAG: Final = {"type": "boolean", "default": False}
MESSAGES: Final = {"type": "array", "minItems": 1, "items": reference("OpenAIMessage")}
# What is in `data` is for the protocol to say.
EVENT: Final = {"type": "object", "properties": {"data": TEXT}, "required": ["data"]}


def asked(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "tags": ["agent"], "summary": summary}


def told(says: str, schema: dict[str, Any], *, run: bool = True) -> dict[str, Any]:
    content = {**json_body(schema), "text/event-stream": {"schema": EVENT}}
    headers = {"headers": {"X-Run-ID": header("RunId")}} if run else {}
    return {"description": says, **headers, "content": content}
