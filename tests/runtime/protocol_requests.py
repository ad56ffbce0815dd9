"""Requests of each protocol with all the fields that its path reads, and what a refusal of it looks like."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tests.wires.ai_sdk.parts import ASKED, CALLED

Body = Any
_OF_MCP = "io.modelcontextprotocol/"
MODERN = {f"{_OF_MCP}protocolVersion": "2026-07-28", f"{_OF_MCP}clientCapabilities": {}}


class Fuzzed(NamedTuple):
    """`is_refusal` says whether a body is an error of the protocol, whose status may be 200 in some."""

    bodies: list[Body]
    is_refusal: Callable[[Body], bool]
    headers: Sequence[dict[str, str]] = ()


def rpc(method: str, **params: Any) -> Body:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


# Pages


URL = {"url": "https://example.com/a.png"}
SAID = [
    {"role": "system", "content": "be brief"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
    {"role": "tool", "tool_call_id": "c", "content": "3"},
]
PARTS = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": URL}]
CHAT = [
    {
        "model": "test",
        "messages": [*SAID, {"role": "user", "content": content}],
        "stream": streams,
        "stream_options": {"include_usage": True},
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "functions": [],
        "function_call": "none",
        "response_format": {"type": "text"},
    }
    for content in ("hi", PARTS)
    for streams in (True, False)
]
INPUT = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]
RESPONSES = [
    {
        "model": "test",
        "input": [
            {"type": "message", "role": "user", "content": content},
            {"type": "mcp_call", "name": "a"},
            {"role": "user", "content": "hi"},
        ],
        "instructions": "be brief",
        "stream": True,
        "background": False,
        "metadata": {"k": "v"},
        "text": {"format": {"type": "text"}},
        **more,
    }
    for content in ("hi", INPUT)
    for more in (
        {"previous_response_id": "resp_r.YQ"},
        {"conversation": {"id": "c"}},
        {"background": True, "stream": False, "conversation": "c"},
    )
]
SOURCE = {"type": "data", "value": "aGk=", "mimeType": "image/png"}
AG_UI = [
    {
        "threadId": "t",
        "runId": "r",
        "messages": [
            {"id": "1", "role": "assistant", "content": "a", "toolCalls": [{"id": "c"}]},
            {"id": "2", "role": "user", "content": [{"type": "image", "source": SOURCE}]},
            {"id": "3", "role": "activity", "content": {}},
            {"id": "4", "role": "user", "content": "hi"},
        ],
        "tools": [],
        "context": [],
        "state": {},
        "forwardedProps": {},
        "resume": resume,
    }
    for resume in (
        [],
        [{"interruptId": "r@2:i", "status": "resolved", "payload": 1}],
        [{"interruptId": "r:i", "status": "cancelled"}],
    )
]
ON_THE_PAGE = [
    {
        "id": "m1",
        "role": "user",
        "parts": [
            {"type": "text", "text": "hi"},
            {"type": "file", "url": "u", "mediaType": "text/plain", "filename": "f"},
        ],
    },
    {
        "id": "m2",
        "role": "assistant",
        "parts": [
            CALLED,
            {"type": "step-start"},
            {"type": "tool-x", "toolCallId": "d", "state": "output-error", "errorText": "no"},
            {"type": "text", "text": "a"},
        ],
    },
]
AI_SDK = [
    {
        "id": "c",
        "trigger": "submit-message",
        "messages": [*ON_THE_PAGE, {"id": "m3", "role": "user", "parts": ON_THE_PAGE[0]["parts"]}],
    },
    *(
        {
            "id": "c",
            "messages": [
                {
                    "id": "a",
                    "role": "assistant",
                    "metadata": {"heard": 2},
                    "parts": [{**CALLED, "state": "input-available"}, {**ASKED, **answer}],
                }
            ],
        }
        for answer in (
            {
                "state": "approval-responded",
                "approval": {"id": "r:i", "approved": True, "reason": "x"},
            },
            {"state": "output-available", "output": {"a": 1}},
            {"state": "output-error", "errorText": "no"},
        )
    ),
]

# Agents and programs

MESSAGE = {
    "messageId": "m",
    "role": "ROLE_USER",
    "parts": [{"text": "hi"}],
    "contextId": "c",
    "metadata": {},
}
OLD_MESSAGE = {
    "kind": "message",
    "messageId": "m",
    "role": "user",
    "parts": [
        {"kind": "text", "text": "hi"},
        {"kind": "file", "file": {"uri": "u", "mimeType": "x/y", "name": "n"}},
        {"kind": "file", "file": {"bytes": "aGk="}},
        {"kind": "data", "data": {"value": 1}, "metadata": {"data_part_compat": True}},
    ],
}
NEW_PARTS = [
    {"url": "u", "mediaType": "image/png", "filename": "f"},
    {"raw": "aGk="},
    {"data": 1},
    {"text": "a"},
]
SENDING = {
    "acceptedOutputModes": ["text/plain"],
    "returnImmediately": False,
    "blocking": True,
    "historyLength": 1,
}
A2A = [
    rpc("SendMessage", message=MESSAGE, configuration=SENDING),
    rpc("SendMessage", message={**MESSAGE, "parts": NEW_PARTS}),
    rpc("SendStreamingMessage", message=MESSAGE, configuration=SENDING),
    rpc("message/send", message=OLD_MESSAGE, configuration=SENDING),
    rpc("message/stream", message=OLD_MESSAGE),
    rpc("SendMessage", message={**MESSAGE, "taskId": "r"}),
    rpc("GetTask", id="r", historyLength=1),
    rpc("tasks/get", id="r"),
    rpc("CancelTask", id="r"),
    rpc("SubscribeToTask", id="r"),
    rpc("tasks/resubscribe", id="r"),
    rpc("GetExtendedAgentCard"),
    rpc("CreateTaskPushNotificationConfig", id="r"),
    rpc(
        "ListTasks",
        pageSize=3,
        pageToken="",
        status="TASK_STATE_WORKING",
        contextId="c",
        statusTimestampAfter="2026-11-29T12:00:00Z",
        includeArtifacts=True,
        historyLength=0,
    ),
]
CALL = {"name": "test", "arguments": {"query": "hi"}}
ANSWERED = {"action": "accept", "content": {"answer": "x"}}
MCP = [
    rpc(
        "tools/call",
        **CALL,
        _meta={"progressToken": 1, "dockrion/tokens": True, "traceparent": "x", "tracestate": "y"},
    ),
    rpc("tools/call", **CALL, _meta={**MODERN, "progressToken": "t", "dockrion/thread_id": "t"}),
    rpc("tools/call", **CALL, requestState="r", inputResponses={"i": ANSWERED}, _meta={**MODERN}),
    rpc(
        "initialize",
        protocolVersion="2025-11-25",
        capabilities={"elicitation": {"form": {}}},
        clientInfo={"name": "x", "version": "1"},
    ),
    rpc("tools/list", cursor=None),
    rpc("ping"),
    rpc("server/discover", _meta=MODERN),
    rpc("subscriptions/listen", notifications={}, _meta=MODERN),
    {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}},
    {"jsonrpc": "2.0", "id": "r:i", "result": ANSWERED},
    {"jsonrpc": "2.0", "id": "r:i", "error": {"code": 1, "message": "no"}},
    [rpc("ping"), rpc("tools/call", **CALL), {"jsonrpc": "2.0", "id": "r:i", "result": ANSWERED}],
]
STREAM = {"accept": "application/json, text/event-stream"}


# What a refusal is


def _is_openai(body: Body) -> bool:
    match body:
        case {"error": {"message": str(), "type": str(), "param": str(), "code": str()}}:
            return True
        case _:
            return False


def _is_ag_ui(body: Body) -> bool:
    match body:
        case {"type": "RUN_ERROR", "message": str(), "code": str()}:
            return True
        case _:
            return False


def _is_ai_sdk(body: Body) -> bool:
    match body:
        case {"type": "error", "errorText": str(), "code": str()}:
            return True
        case _:
            return False


def _is_rpc(body: Body) -> bool:
    match body:
        case {
            "jsonrpc": "2.0",
            "id": None | str() | int() | float(),
            "error": {"code": int(), "message": str()},
        }:
            return "result" not in body
        case _:
            return False


FUZZED = {
    "/v1/chat/completions": Fuzzed(CHAT, _is_openai),
    "/v1/responses": Fuzzed(RESPONSES, _is_openai),
    "/ag-ui": Fuzzed(AG_UI, _is_ag_ui),
    "/ai-sdk": Fuzzed(AI_SDK, _is_ai_sdk),
    "/a2a": Fuzzed(A2A, _is_rpc, [{"a2a-version": "1.0"}, {"a2a-version": "9"}]),
    "/mcp": Fuzzed(
        MCP,
        _is_rpc,
        [
            STREAM,
            {**STREAM, "mcp-protocol-version": "2025-11-25", "mcp-session-id": "f0"},
            {"mcp-protocol-version": "2025-03-26"},
            {"mcp-protocol-version": "1"},
            {
                **STREAM,
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/call",
                "mcp-name": "test",
            },
            # How a call is told, in the id of an event: [1,null,0].
            {"last-event-id": "r:0:WzEsbnVsbCwwXQ"},
        ],
    ),
}
# Of any path.
HEADERS: list[dict[str, str]] = [
    {},
    {},
    {},
    {"last-event-id": "r:0"},
    {"last-event-id": "r:1.1"},
    {"last-event-id": "r:1+"},
    {"x-run-id": "r"},
    {"x-thread-id": "t"},
]
