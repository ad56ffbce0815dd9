"""What `POST /ag-ui` takes and answers, as far as this server goes."""

from __future__ import annotations

from typing import Any, Final

from dockrion.errors import (
    GoneError,
    NotFoundError,
    TooManySubscribersError,
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

AG_UI_SCHEMAS: Final[dict[str, Any]] = {
    "AgUiError": closed({"type": {"const": "RUN_ERROR"}, "message": TEXT, "code": TEXT}),
}


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
        "content": {"text/event-stream": {"schema": EVENT}},
    }
    return {
        **asked("runAgUi", "Run the agent for a page that speaks AG-UI"),
        "parameters": options(spec),
        "requestBody": {"required": True, "content": json_body(body)},
        "responses": {
            "200": answer,
            **(SEEN_ALL if spec.streaming.connection.holds_runs else {}),
        },
    }


AG_UI_OPERATIONS: Final = (
    Operation(
        "/ag-ui",
        "post",
        _ag_ui,
        (*REFUSALS, NotFoundError, GoneError, TooManySubscribersError),
        protected=True,
        error_schema="AgUiError",
    ),
)
