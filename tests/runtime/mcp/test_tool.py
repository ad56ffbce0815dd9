"""What `/mcp` says of the agent, and how the agent is called as a tool."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import running
from tests.runtime.mcp.kit import (
    OLD,
    STREAM,
    calls,
    echo,
    of_2026,
    rpc,
    sent,
    served,
    session,
    speak,
    text_of,
)
from tests.telemetry.collector import collecting, tree


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        (None, "2025-11-25"),
    ],
)
async def test_a_handshake_settles_a_revision_that_has_one(asked: Any, given: str) -> None:
    async with running(served(speak, metadata={"version": "3"})) as app:
        _, answer, exchange = await sent(app, rpc("initialize", protocolVersion=asked))
        taken = await sent(app, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    result = answer["result"]
    assert result["protocolVersion"] == given
    assert result["serverInfo"] == {"name": "test", "version": "3"}
    assert result["capabilities"] == {"tools": {}}
    assert exchange.headers["mcp-session-id"]
    assert taken[:2] == (202, None)


async def test_two_handshakes_are_two_sessions() -> None:
    async with running(served(speak)) as app:
        one, two = await session(app), await session(app)
    assert one["Mcp-Session-Id"] != two["Mcp-Session-Id"]


async def test_the_newest_revision_is_discovered() -> None:
    async with running(served(speak)) as app:
        status, answer, exchange = await sent(app, *of_2026(rpc("server/discover")))
    result = answer["result"]
    assert status == 200
    assert result["resultType"] == "complete"
    assert result["supportedVersions"][0] == "2026-07-28"
    assert (result["ttlMs"], result["cacheScope"]) == (0, "private")
    assert result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "test"
    assert "mcp-session-id" not in exchange.headers


SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}}


@pytest.mark.parametrize(
    ("io_schema", "listed"),
    [
        ({}, {"inputSchema": {"type": "object"}}),
        ({"input": SCHEMA, "output": SCHEMA}, {"inputSchema": SCHEMA, "outputSchema": SCHEMA}),
        ({"output": {"type": "string"}}, {"inputSchema": {"type": "object"}}),
        ({"output": SCHEMA, "strict": False}, {"inputSchema": {"type": "object"}}),
        (
            {"input": {"type": "string"}},
            {
                "inputSchema": {
                    "type": "object",
                    "properties": {"input": {"type": "string"}},
                    "required": ["input"],
                }
            },
        ),
        (
            {"input": {"type": "array", "items": {"$ref": "#/$defs/x"}, "$defs": {"x": {}}}},
            {
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "input": {
                            "type": "array",
                            "items": {"$ref": "#/properties/input/$defs/x"},
                            "$defs": {"x": {}},
                        }
                    },
                    "required": ["input"],
                }
            },
        ),
    ],
)
async def test_the_schemas_of_the_agent_are_those_of_the_tool(io_schema: Any, listed: Any) -> None:
    agent = {"name": "test", "handler": "a:b", "description": "Speaks."}
    async with running(served(speak, io_schema=io_schema, agent=agent)) as app:
        _, answer, _ = await sent(app, rpc("tools/list"))
        _, modern, _ = await sent(app, *of_2026(rpc("tools/list")))
    tool = {"name": "test", "description": "Speaks.", **listed}
    assert answer["result"] == {"tools": [tool]}
    assert modern["result"]["tools"] == [tool]
    assert modern["result"]["ttlMs"] == 0


# Calls


async def test_a_client_without_streams_gets_json() -> None:
    async with running(served(speak)) as app:
        status, answer, exchange = await sent(app, calls(_meta={"progressToken": 1}))
    assert status == 200
    assert (answer["id"], text_of(answer)) == (1, "The answer")
    assert answer["result"]["_meta"]["dockrion/run_id"] == exchange.headers["x-run-id"]
    assert "resultType" not in answer["result"]


@pytest.mark.parametrize("token", [0, "a", 'a "%s" %d'])
async def test_progress_is_told_with_the_token_of_the_call(token: Any) -> None:
    async with running(served(speak)) as app:
        call = calls("x", _meta={"progressToken": token, "dockrion/tokens": True})
        _, told, _ = await sent(app, call, {**OLD, **STREAM})
        _, untold, _ = await sent(app, calls("y"), {**OLD, **STREAM})
    *progress, answer = told
    assert [one["method"] for one in progress] == ["notifications/progress"] * 3
    assert [one["params"] for one in progress] == [
        {"progressToken": token, "progress": number, "total": 1, "message": message}
        for number, message in [(0.5, "speaking"), (0.500001, "The"), (0.500002, " answer")]
    ]
    assert (answer["id"], text_of(answer)) == ("x", "The answer")
    assert [one["id"] for one in untold] == ["y"]


async def test_input_that_is_no_object_is_one_argument() -> None:
    async def shout(payload: Any) -> Any:
        return payload.upper()

    io_schema = {"input": {"type": "string"}, "output": {"type": "string"}}
    async with running(served(shout, io_schema=io_schema)) as app:
        _, answer, _ = await sent(app, calls(arguments={"input": "hi"}))
        _, wrong, _ = await sent(app, calls(arguments={}))
    assert answer["result"]["content"] == [{"type": "text", "text": "HI"}]
    assert "structuredContent" not in answer["result"]
    assert text_of(wrong).startswith("VALIDATION_ERROR: ")


OUTPUT = {"type": "object", "properties": {"got": {"type": "object"}}, "required": ["got"]}


async def test_output_with_a_schema_is_structured_and_its_json_the_text() -> None:
    async with running(served(echo, io_schema={"output": OUTPUT})) as app:
        _, answer, _ = await sent(app, calls(arguments={"a": 1}))
    assert answer["result"]["structuredContent"] == {"got": {"a": 1}}
    assert text_of(answer) == '{"got":{"a":1}}'


async def test_output_that_does_not_fit_is_an_error_to_the_client() -> None:
    wrong = {**OUTPUT, "properties": {"got": {"type": "string"}}}
    async with running(served(echo, io_schema={"output": wrong})) as app:
        _, answer, _ = await sent(app, calls(arguments={"a": 1}))
    assert answer["result"]["isError"]
    assert "structuredContent" not in answer["result"]
    assert answer["result"]["_meta"]["dockrion/code"] == "INVALID_OUTPUT"
    assert text_of(answer) == '{"got":{"a":1}}'


async def test_threads_and_ids_are_those_of_other_paths() -> None:
    async def tell(payload: Any, context: StreamContext) -> Any:
        return {"thread": context.thread_id, "run": context.run_id}

    async with running(served(tell)) as app:
        _, named, _ = await sent(app, calls(_meta={"dockrion/thread_id": "t"}))
        headers = {**OLD, "X-Thread-ID": "h", "X-Run-ID": "mine"}
        _, in_head, _ = await sent(app, calls(_meta={"dockrion/thread_id": "t"}), headers)
        status, wrong, _ = await sent(app, calls(), {**OLD, "X-Run-ID": "/"})
    assert named["result"]["structuredContent"]["thread"] == "t"
    assert in_head["result"]["structuredContent"] == {"thread": "h", "run": "mine"}
    assert (status, wrong["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize("in_head", [False, True])
async def test_a_call_is_traced_to_what_its_message_or_its_head_says(in_head: bool) -> None:
    traces = ["0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319d"]
    message, head = (f"00-{trace}-b7ad6b7169203331-01" for trace in traces)
    headers = {**OLD, "traceparent": head} if in_head else OLD
    meta = {"traceparent": message, "tracestate": "vendor=ü"}
    with collecting() as collector:
        otlp = {"endpoint": collector.url}
        async with running(served(speak, observability={"otlp": otlp})) as app:
            await sent(app, calls(_meta=meta), headers)
            await sent(app, rpc("ping"), headers)
    assert tree(collector.spans) == [["POST /mcp", [["invoke_agent test"]]]]
    assert {span.trace_id for span in collector.spans} == {traces[in_head]}


async def test_the_one_revision_with_batches_gets_them_answered() -> None:
    async with running(served(speak)) as app:
        batch = [
            rpc("ping", 1),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            calls(2),
            rpc("no", 3),
            calls(4),
            {"jsonrpc": "2.0"},
        ]
        status, answers, _ = await sent(app, batch, STREAM)
        quiet = await sent(app, batch[1:2], STREAM)
        empty = await sent(app, [], STREAM)
        wrong = await sent(app, [calls(1, name="test", arguments=[])], STREAM)
    assert status == 200
    assert {answer["id"]: answer.get("error", {}).get("code") for answer in answers} == {
        1: None,
        2: None,
        3: -32601,
        4: -32600,
        None: -32600,
    }
    assert text_of(answers[-1]) == "The answer"
    assert quiet[:2] == (202, None)
    assert empty[0] == 400
    assert (wrong[0], wrong[1][0]["error"]["code"]) == (200, -32602)


@pytest.mark.parametrize("message", [1, rpc("ping"), rpc("tools/list")])
async def test_a_batch_is_bounded(message: Any) -> None:
    """A body of ones would be answered with sixty times its length, and nobody else meanwhile."""
    async with running(served(speak)) as app:
        few, answers, _ = await sent(app, [message] * 100, STREAM)
        many, refusal, _ = await sent(app, [message] * 101, STREAM)
    assert (few, len(answers)) == (200, 100)
    assert (many, refusal["error"]["code"]) == (400, -32600)
    assert "100" in refusal["error"]["message"]
