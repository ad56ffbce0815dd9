"""`/mcp` as its clients see it, message by message."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from dockrion.events.context import StreamContext
from dockrion.testing import Exchange, app_for, post, read_sse, request, running
from dockrion.version import VERSION as VERSION_OF_OURS
from tests.adapters.graphs import State, agent_of, graph_of
from tests.telemetry.collector import collecting, tree

OLD = {"MCP-Protocol-Version": "2025-11-25"}
STREAM = {"Accept": "application/json, text/event-stream"}
CONTINUES = {"connection": {"on_disconnect": "continue"}}
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
VERSION = "io.modelcontextprotocol/protocolVersion"
FORMS = {"elicitation": {}}


def served(agent: Any, /, **sections: Any) -> FastAPI:
    expose = {"protocols": ["mcp"], **sections.pop("expose", {})}
    return app_for(agent, expose=expose, **sections)


async def speak(payload: Any, context: StreamContext) -> Any:
    await context.emit_progress("speaking", 0.5)
    yield "The"
    yield " answer"


async def ask(payload: Any, context: StreamContext) -> Any:
    answer = await context.ask("Really?")
    yield f"You said {answer}."


async def echo(payload: Any) -> Any:
    return {"got": payload}


def rpc(method: str, request_id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def calls(request_id: Any = 1, name: str = "test", **params: Any) -> dict[str, Any]:
    return rpc("tools/call", request_id, name=name, arguments=params.pop("arguments", {}), **params)


def of_2026(
    message: dict[str, Any], *, capabilities: Any = None, **headers: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a message, and its headers, as a client of the newest revision sends them."""
    meta = {VERSION: "2026-07-28", CAPABILITIES: capabilities or {}}
    params = {**message["params"], "_meta": {**message["params"].get("_meta", {}), **meta}}
    given = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": message["method"]}
    if "name" in params:
        given["Mcp-Name"] = params["name"]
    return {**message, "params": params}, {**given, **headers}


async def sent(
    app: FastAPI, body: Any, headers: dict[str, str] | None = None
) -> tuple[int, Any, Exchange]:
    async with post(app, "/mcp", body, headers=headers or OLD) as exchange:
        raw = await exchange.read()
    if not raw:
        return exchange.status, None, exchange
    if exchange.headers["content-type"] == "text/event-stream":
        return exchange.status, [event.json() for event in read_sse(raw) if event.data], exchange
    return exchange.status, json.loads(raw), exchange


async def session(app: FastAPI, *, capabilities: Any = None) -> dict[str, str]:
    """Shake hands; return the headers of what comes after."""
    hello = rpc("initialize", protocolVersion="2025-11-25", capabilities=capabilities or {})
    _, _, exchange = await sent(app, hello, {"Accept": "*/*"})
    return {**OLD, **STREAM, "Mcp-Session-Id": exchange.headers["mcp-session-id"]}


def text_of(answer: Any) -> str:
    return answer["result"]["content"][0]["text"]


# Hands, and what is said of the agent


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


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, -32700),
        (b"{", 400, -32700),
        (b"1", 400, -32600),
        ({}, 400, -32600),
        ({"jsonrpc": "2.0"}, 400, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": "x" * 129, "method": "ping"}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 1}, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}, 400, -32602),
        (rpc("resources/list"), 200, -32601),
        (rpc("server/discover"), 200, -32601),
        (rpc("tools/list", cursor="x"), 200, -32602),
        (calls(name="other"), 200, -32602),
        (rpc("tools/call"), 200, -32602),
        (calls(arguments=[1]), 200, -32602),
        (calls(_meta={"progressToken": 1.5}), 400, -32600),
        (calls(_meta={"dockrion/thread_id": 1}), 200, -32602),
        ([rpc("ping")], 400, -32600),
    ],
)
async def test_what_is_no_request_is_refused(body: Any, status: int, code: int) -> None:
    async with running(served(speak)) as app:
        got, answer, _ = await sent(app, body)
    assert (got, answer["error"]["code"]) == (status, code)
    if status == 200:
        assert answer["id"] == 1


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"MCP-Protocol-Version": "2025-11-25"}, 400, -32020),
        ({"Mcp-Method": "ping"}, 400, -32020),
        ({"Mcp-Name": "other"}, 400, -32020),
        ({"Mcp-Name": "=?base64?%%%?="}, 400, -32020),
        ({"Mcp-Name": "=?base64?dGVzdA==?="}, 200, None),
        ({}, 200, None),
    ],
)
async def test_head_and_body_of_a_request_of_2026_say_the_same(
    change: dict[str, str], status: int, code: int | None
) -> None:
    async with running(served(speak)) as app:
        got, answer, _ = await sent(app, *of_2026(calls(), **change))
    assert (got, answer.get("error", {}).get("code")) == (status, code)


async def test_a_request_of_2026_says_all_that_there_is_to_know() -> None:
    async with running(served(speak)) as app:
        body, headers = of_2026(rpc("tools/list"))
        silent = await sent(app, rpc("tools/list"), headers)
        del body["params"]["_meta"][CAPABILITIES]
        half = await sent(app, body, headers)
        unknown = await sent(app, *of_2026(rpc("ping")))
        body, headers = of_2026(rpc("tools/list"))
        body["params"]["_meta"][VERSION] = "2099-01-01"
        future = await sent(app, body, {**headers, "MCP-Protocol-Version": "2099-01-01"})
        older = await sent(app, rpc("ping"), {"MCP-Protocol-Version": "1999-01-01"})
    assert [(status, body["error"]["code"]) for status, body, _ in (silent, half)] == [
        (400, -32602)
    ] * 2
    assert (unknown[0], unknown[1]["error"]["code"]) == (404, -32601)
    assert (future[0], future[1]["error"]["code"]) == (400, -32022)
    assert future[1]["error"]["data"]["requested"] == "2099-01-01"
    assert "2026-07-28" in future[1]["error"]["data"]["supported"]
    assert (older[0], older[1]["error"]["code"]) == (400, -32022)


IN_HEAD = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "x-mcp-header": "N"},
                "b": {"type": "boolean", "x-mcp-header": "B"},
            },
        },
    },
}


@pytest.mark.parametrize(
    ("arguments", "headers", "status"),
    [
        ({}, {}, 200),
        ({"region": "eu"}, {"Mcp-Param-Region": "eu"}, 200),
        ({"region": "ü"}, {"Mcp-Param-Region": "=?base64?w7w=?="}, 200),
        ({"region": "eu"}, {"Mcp-Param-Region": "us"}, 400),
        ({"region": "eu"}, {}, 400),
        ({}, {"Mcp-Param-Region": "eu"}, 400),
        ({"deep": {"n": 42}}, {"Mcp-Param-N": "42"}, 200),
        ({"deep": {"n": 42}}, {"Mcp-Param-N": "42.0"}, 200),
        ({"deep": {"n": 42}}, {"Mcp-Param-N": "421"}, 400),
        ({"deep": {"b": True}}, {"Mcp-Param-B": "true"}, 200),
        ({"deep": {"b": True}}, {"Mcp-Param-B": "1"}, 400),
        ({"deep": 1}, {"Mcp-Param-Other": "x"}, 200),
    ],
)
async def test_arguments_that_stand_in_the_head_are_those_of_the_body(
    arguments: Any, headers: dict[str, str], status: int
) -> None:
    async with running(served(echo, io_schema={"input": IN_HEAD})) as app:
        body, head = of_2026(calls(arguments=arguments))
        got, answer, _ = await sent(app, body, {**head, **headers})
        old = await sent(app, calls(arguments=arguments), {**OLD, **headers})
    assert got == status
    assert status == 200 or answer["error"]["code"] == -32020
    assert old[0] == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_other_methods_are_not_taken(method: str) -> None:
    async with (
        running(served(speak)) as app,
        request(app, method, "/mcp", headers={"Accept": "text/event-stream"}) as exchange,
    ):
        answer = await exchange.json()
    assert (exchange.status, exchange.headers["allow"]) == (405, "POST")
    assert answer["error"]["data"]["code"] == "METHOD_NOT_ALLOWED"


@pytest.mark.parametrize(
    ("sections", "origin", "status"),
    [
        ({}, "http://evil.example", 403),
        ({}, "null", 403),
        ({}, "http://localhost:6274", 200),
        ({}, "http://127.0.0.1", 200),
        ({}, "http://[::1]:1", 200),
        ({}, "http://[", 403),
        ({"expose": {"cors": {"origins": ["*"]}}}, "http://evil.example", 200),
        ({"expose": {"cors": {"origins": ["https://a.example"]}}}, "https://a.example", 200),
        ({"expose": {"cors": {"origins": ["https://a.example"]}}}, "http://localhost", 403),
        ({"auth": {"mode": "api_key"}}, "http://evil.example", 401),
    ],
)
async def test_pages_call_as_the_dockfile_says_and_none_through_a_name_that_was_rebound(
    sections: Any, origin: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "k")
    async with running(served(speak, **sections)) as app:
        got, _, exchange = await sent(app, rpc("ping"), {**OLD, "Origin": origin})
    assert got == status
    if status == 200:
        assert "mcp-session-id" in exchange.headers["access-control-expose-headers"].lower()


async def test_what_must_be_known_of_a_caller_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "k")
    async with running(served(speak, auth={"mode": "api_key"})) as app:
        status, answer, exchange = await sent(app, b"{")
        good = await sent(app, rpc("ping"), {**OLD, "Authorization": "Bearer k"})
    assert (status, answer["id"], answer["error"]["code"]) == (401, None, 401)
    assert answer["error"]["data"]["code"] == "AUTH_ERROR"
    assert exchange.headers["www-authenticate"]
    assert good[1] == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_only_calls_count_for_limits_and_metrics() -> None:
    auth = {"mode": "none", "rate_limits": {"default": "1/day"}}
    async with running(served(speak, auth=auth)) as app:
        for _ in range(3):
            assert (await sent(app, rpc("tools/list")))[0] == 200
        first = await sent(app, calls())
        second = await sent(app, calls())
        async with request(app, "GET", "/metrics") as exchange:
            metrics = (await exchange.read()).decode()
    assert (first[0], second[0]) == (200, 429)
    assert second[2].headers["retry-after"]
    counted = [line for line in metrics.splitlines() if line.startswith("dockrion_requests_total{")]
    assert [line.partition("status=")[2] for line in counted] == [
        f'"{status}",version="{VERSION_OF_OURS}"}} 1.0' for status in (200, 429)
    ]


# Batches


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


# Questions


async def test_answers_come_with_the_next_call_of_2026() -> None:
    async with running(served(ask)) as app:
        body, headers = of_2026(calls(1), capabilities=FORMS)
        _, asked, first = await sent(app, body, headers)
        result = asked["result"]
        [(interrupt_id, question)] = result["inputRequests"].items()
        again = {"requestState": result["requestState"]}
        nothing = await sent(app, *of_2026(calls(2, **again), capabilities=FORMS))
        answers = {interrupt_id: {"action": "accept", "content": {"answer": "yes"}}}
        retry = calls(3, **again, inputResponses=answers)
        body, headers = of_2026(retry, capabilities=FORMS)
        _, told, second = await sent(app, body, headers)
        _, repeated, _ = await sent(app, body, {**headers, **STREAM})
    assert result["resultType"] == "input_required"
    assert question["method"] == "elicitation/create"
    assert (question["params"]["mode"], question["params"]["message"]) == ("form", "Really?")
    assert nothing[1]["result"]["inputRequests"] == result["inputRequests"]
    assert nothing[1]["id"] == 2
    assert (told["id"], text_of(told)) == (3, "You said yes.")
    assert first.headers["x-run-id"] == second.headers["x-run-id"]
    assert (repeated["id"], text_of(repeated)) == (3, "You said yes.")


@pytest.mark.parametrize("state", ["nobody", "a/b", "x" * 200, 1])
async def test_a_state_that_is_made_up_leads_nowhere(state: Any) -> None:
    async with running(served(ask)) as app:
        status, answer, _ = await sent(app, *of_2026(calls(requestState=state, inputResponses={})))
    assert (status, answer["error"]["code"]) == (
        (400, -32602) if isinstance(state, int) else (404, 404)
    )


async def test_what_another_caller_was_asked_is_nobody_elses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A", "a")
    monkeypatch.setenv("B", "b")
    keys = [{"name": "a", "env_var": "A"}, {"name": "b", "env_var": "B"}]
    auth = {"mode": "api_key", "api_keys": {"keys": keys}}
    async with running(served(ask, auth=auth)) as app:
        body, headers = of_2026(calls(), capabilities=FORMS)
        _, asked, _ = await sent(app, body, {**headers, "X-API-Key": "a"})
        state = asked["result"]["requestState"]
        [interrupt_id] = asked["result"]["inputRequests"]
        yes = {interrupt_id: {"action": "accept", "content": {"answer": "yes"}}}
        body, headers = of_2026(calls(2, requestState=state, inputResponses=yes))
        others = await sent(app, body, {**headers, "X-API-Key": "b"})
        response = {"jsonrpc": "2.0", "id": f"{state}:{interrupt_id}", "result": yes[interrupt_id]}
        old = await sent(app, response, {**OLD, "X-API-Key": "b"})
        own = await sent(app, response, {**OLD, "X-API-Key": "a"})
        twice = await sent(app, response, {**OLD, "X-API-Key": "a"})
    assert (others[0], old[0], own[:2], twice[0]) == (404, 404, (202, None), 409)


async def test_a_question_keeps_the_stream_of_an_older_client_open() -> None:
    async with running(served(ask)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(7), headers=headers) as exchange:
            [question] = [event.json() for event in read_sse(await exchange.receive())]
            answer = {"action": "accept", "content": {"answer": "yes"}}
            response = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
            status, _, _ = await sent(app, response, headers)
            rest = [event.json() for event in read_sse(await exchange.read())]
    assert question["method"] == "elicitation/create"
    assert status == 202
    assert [(one["id"], text_of(one)) for one in rest] == [(7, "You said yes.")]


@pytest.mark.parametrize("streaming", [{}, CONTINUES], ids=["unkept", "kept"])
async def test_a_graph_goes_on_after_the_answers(streaming: Any) -> None:
    def one(state: State) -> dict[str, Any]:
        return {"notes": [interrupt("One?")]}

    def two(state: State) -> dict[str, Any]:
        return {"notes": [interrupt({"ask": "Two?"})]}

    graph = await agent_of(graph_of(one, two, checkpointer=InMemorySaver()))
    payload = {"query": "q", "notes": []}
    async with running(served(graph, streaming=streaming)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(arguments=payload), headers=headers) as exchange:
            for answer in ("a", "b"):
                question = await next_message(exchange)
                result = {"action": "accept", "content": {"answer": answer}}
                message = {"jsonrpc": "2.0", "id": question["id"], "result": result}
                assert (await sent(app, message, headers))[0] == 202
            old = await next_message(exchange)
        answers: Any = {}
        while True:
            call = calls(arguments=payload, **answers)
            _, new, _ = await sent(app, *of_2026(call, capabilities=FORMS))
            if new["result"]["resultType"] == "complete":
                break
            given = {"action": "accept", "content": {"answer": str(len(answers))}}
            answers = {
                "requestState": new["result"]["requestState"],
                "inputResponses": dict.fromkeys(new["result"]["inputRequests"], given),
            }
    assert old["result"]["structuredContent"]["notes"] == ["a", "b"]
    assert new["result"]["structuredContent"]["notes"] == ["0", "2"]


async def next_message(exchange: Exchange) -> Any:
    """Return the next message of a stream that stays open."""
    while True:
        for event in read_sse(await exchange.receive()):
            if event.data:
                return event.json()


async def test_one_question_after_the_other_is_asked_once_each() -> None:
    async def insist(payload: Any, context: StreamContext) -> Any:
        return {"answers": [await context.ask("One?"), await context.ask("Two?")]}

    async with running(served(insist)) as app:
        headers = await session(app, capabilities=FORMS)
        asked: list[str] = []
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            for answer in ("a", "b"):
                [question] = [event.json() for event in read_sse(await exchange.receive())]
                asked.append(question["params"]["message"])
                result = {"action": "accept", "content": {"answer": answer}}
                await sent(app, {"jsonrpc": "2.0", "id": question["id"], "result": result}, headers)
            [last] = [event.json() for event in read_sse(await exchange.read())]
    assert asked == ["One?", "Two?"]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


async def test_who_comes_back_is_not_asked_what_has_been_answered() -> None:
    async def insist(payload: Any, context: StreamContext) -> Any:
        return {"answers": [await context.ask("One?"), await context.ask("Two?")]}

    async with running(served(insist, streaming=CONTINUES)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            [one] = [event for event in read_sse(await exchange.receive()) if event.data]
            await accept(app, one.json(), "a", headers)
            await next_message(exchange)
        back = {**headers, "Last-Event-ID": one.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            [two] = [event.json() for event in read_sse(await again.receive())]
            assert two["params"]["message"] == "Two?"
            assert await accept(app, two, "b", headers) == 202
            [last] = [event.json() for event in read_sse(await again.read())]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


async def test_who_comes_back_between_two_questions_is_asked_the_other() -> None:
    async def both(payload: Any, context: StreamContext) -> Any:
        return {"answers": await asyncio.gather(context.ask("One?"), context.ask("Two?"))}

    async with running(served(both, streaming=CONTINUES)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            events = [event for event in read_sse(await exchange.receive()) if event.data]
            while len(events) < 2:
                events += [event for event in read_sse(await exchange.receive()) if event.data]
        one, two = events
        back = {**headers, "Last-Event-ID": one.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            assert await next_message(again) == two.json()
        back = {**headers, "Last-Event-ID": two.id}
        async with request(app, "GET", "/mcp", headers=back) as again:
            assert await accept(app, one.json(), "a", headers) == 202
            assert await accept(app, two.json(), "b", headers) == 202
            [last] = [event.json() for event in read_sse(await again.read())]
    assert last["result"]["structuredContent"] == {"answers": ["a", "b"]}


async def accept(app: FastAPI, question: Any, answer: str, headers: dict[str, str]) -> int:
    result = {"action": "accept", "content": {"answer": answer}}
    return (await sent(app, {"jsonrpc": "2.0", "id": question["id"], "result": result}, headers))[0]


@pytest.mark.parametrize(
    ("capabilities", "sections", "says"),
    [
        ({}, {}, "POST /runs/"),
        ({"elicitation": {"url": {}}}, {}, "POST /runs/"),
        (FORMS, {"streaming": {"async_runs": False}}, "it cannot be answered"),
    ],
)
async def test_who_cannot_be_asked_is_told_that_the_agent_waits(
    capabilities: Any, sections: Any, says: str
) -> None:
    async with running(served(ask, **sections)) as app:
        headers = await session(app, capabilities=capabilities)
        _, [old], _ = await sent(app, calls(), headers)
        _, new, _ = await sent(app, *of_2026(calls(), capabilities=capabilities))
    for answer in (old, new):
        assert answer["result"]["isError"]
        assert "Really?" in text_of(answer)
        assert says in text_of(answer)


async def test_who_leaves_a_question_can_answer_it_later() -> None:
    async with running(served(ask)) as app:
        headers = await session(app, capabilities=FORMS)
        async with post(app, "/mcp", calls(), headers=headers) as exchange:
            [question] = [event.json() for event in read_sse(await exchange.receive())]
        answer = {"action": "accept", "content": {"answer": "yes"}}
        response = {"jsonrpc": "2.0", "id": question["id"], "result": answer}
        assert (await sent(app, response, headers))[0] == 202
        run_id = exchange.headers["x-run-id"]
        with anyio.fail_after(2):
            while True:
                async with request(app, "GET", f"/runs/{run_id}") as looked_at:
                    record = await looked_at.json()
                if record["status"] == "COMPLETED":
                    break
    assert record["output"] == {"content": "You said yes."}


# Cancelling, leaving, coming back


class Gate:
    """An agent that says something and waits."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, payload: Any, context: StreamContext) -> Any:
        try:
            await context.emit_progress("one", 0.1)
            await self.open.wait()
            await context.emit_progress("two", 0.2)
            return {"done": True}
        finally:
            self.left.set()


def cancelled(request_id: Any) -> dict[str, Any]:
    params = {"requestId": request_id, "reason": "enough"}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


PROGRESS: dict[str, Any] = {"_meta": {"progressToken": "p"}}


@pytest.mark.parametrize("streaming", [{}, CONTINUES])
async def test_a_notification_cancels_the_call_of_its_session_alone(streaming: Any) -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=streaming)) as app:
        one, two = await session(app), await session(app)
        async with post(app, "/mcp", calls(1, **PROGRESS), headers=one) as exchange:
            await exchange.receive()
            for headers in (two, OLD):
                assert (await sent(app, cancelled(1), headers))[0] == 202
            for other in (2, "1", None):
                assert (await sent(app, cancelled(other), one))[0] == 202
            assert not gate.left.is_set()
            assert (await sent(app, cancelled(1), one))[0] == 202
            with anyio.fail_after(2):
                *_, last = [event.json() for event in read_sse(await exchange.read())]
                await gate.left.wait()
        late = await sent(app, cancelled(1), one)
    assert text_of(last) == "CANCELLED: The run was cancelled: The caller has cancelled the call."
    assert late[0] == 202


async def test_who_goes_away_ends_the_run() -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait)) as app:
        body, headers = of_2026(calls(1, **PROGRESS))
        async with post(app, "/mcp", body, headers={**headers, **STREAM}) as exchange:
            await exchange.receive()
        with anyio.fail_after(2):
            await gate.left.wait()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
async def test_who_comes_back_goes_on_with_the_run(method: str, version: str) -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=CONTINUES)) as app:
        body, headers = calls(9, **PROGRESS), {"MCP-Protocol-Version": version}
        if version == "2026-07-28":
            body, headers = of_2026(body)
        async with post(app, "/mcp", body, headers={**headers, **STREAM}) as exchange:
            seen = read_sse(await exchange.receive())
            while not seen[-1].data:
                seen += read_sse(await exchange.receive())
        gate.open.set()
        back = {**headers, "Last-Event-ID": seen[-1].id}
        async with request(app, method, "/mcp", body=body, headers=back) as again:
            rest = read_sse(await again.read())
        async with request(
            app, "GET", "/mcp", headers={**headers, "Last-Event-ID": rest[-1].id}
        ) as over:
            assert await over.read() == b""
    assert [bool(event.data) for event in seen] == (
        [True] if version < "2025-11-25" else [False, True]
    )
    assert [event.json().get("id") for event in rest] == [None, 9]
    assert rest[0].json()["params"] == {
        "progressToken": "p",
        "progress": 0.2,
        "total": 1,
        "message": "two",
    }
    assert rest[1].json()["result"]["structuredContent"] == {"done": True}
    assert (again.status, over.status) == (200, 204)
    assert again.headers["x-run-id"] == exchange.headers["x-run-id"]


async def test_a_stream_that_another_process_can_go_on_with_ends_without_a_response() -> None:
    gate = Gate()

    async def wait(payload: Any, context: StreamContext) -> Any:
        return await gate(payload, context)

    async with running(served(wait, streaming=CONTINUES)) as app:
        async with post(app, "/mcp", calls(**PROGRESS), headers={**OLD, **STREAM}) as exchange:
            message = await next_message(exchange)
            # As at the end of a process that only follows the run.
            app.state.dockrion.runs.channels.close_readers()
            rest = await exchange.read()
        gate.open.set()
    assert message["method"] == "notifications/progress"
    assert rest == b""


@pytest.mark.parametrize(
    ("last_event_id", "status"),
    [
        ("x", 400),
        ("run:1", 400),
        ("run:1:WzFd!", 400),
        ("run:1:e30", 400),
        ("run:1:WzFd", 400),
        ("run:1:WzEsbnVsbCwwXQ", 410),
    ],
)
async def test_whatever_else_is_come_back_to_is_refused(last_event_id: str, status: int) -> None:
    async with running(served(speak)) as app:
        headers = {**OLD, "Last-Event-ID": last_event_id}
        async with request(app, "GET", "/mcp", headers=headers) as exchange:
            answer = await exchange.json()
    assert (exchange.status, answer["jsonrpc"]) == (status, "2.0")


async def test_a_subscription_says_that_nothing_changes_here() -> None:
    async with running(served(speak)) as app:
        body, headers = of_2026(rpc("subscriptions/listen", 5, notifications={"x": True}))
        _, told, _ = await sent(app, body, headers)
    acknowledged, ended = told
    assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
    assert acknowledged["params"]["notifications"] == {}
    key = "io.modelcontextprotocol/subscriptionId"
    assert acknowledged["params"]["_meta"][key] == ended["result"]["_meta"][key] == ended["id"] == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
METHODS = st.sampled_from(
    [
        "initialize",
        "notifications/cancelled",
        "ping",
        "server/discover",
        "subscriptions/listen",
        "tools/call",
        "tools/list",
    ]
)
META = st.fixed_dictionaries(
    {},
    optional={
        VERSION: st.just("2026-07-28") | JSON,
        CAPABILITIES: st.just(FORMS) | JSON,
        "progressToken": JSON,
        "dockrion/tokens": JSON,
        "dockrion/thread_id": JSON,
    },
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "_meta": META | JSON,
        "name": st.just("test") | JSON,
        "arguments": JSON,
        "requestState": JSON,
        "inputResponses": JSON,
        "requestId": JSON,
        "capabilities": JSON,
        "protocolVersion": JSON,
        "cursor": JSON,
    },
)
MESSAGE = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": st.integers(0, 9) | JSON,
        "method": METHODS | JSON,
        "params": PARAMS | JSON,
        "result": JSON,
        "error": JSON,
    },
)
VERSIONS = st.sampled_from(["2025-03-26", "2025-11-25", "2026-07-28", "x"])


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_whatever_is_sent_gets_an_answer_of_json_rpc_and_is_no_bug(data: st.DataObject) -> None:
    async def send() -> list[tuple[int, Any]]:
        seen: list[tuple[int, Any]] = []
        async with running(served(speak)) as app:
            for _ in range(5):
                body = data.draw(MESSAGE | st.lists(MESSAGE, max_size=3) | JSON)
                version = data.draw(VERSIONS)
                method = data.draw(METHODS)
                headers = {
                    "MCP-Protocol-Version": version,
                    "Mcp-Method": method,
                    "Mcp-Name": "test",
                    "Mcp-Session-Id": data.draw(st.sampled_from("fn")),
                    **data.draw(st.sampled_from([{}, STREAM])),
                }
                seen.append((await sent(app, body, headers))[:2])
        return seen

    for status, answer in anyio.run(send):
        assert status in (200, 202, 400, 404, 409)
        for one in answer if isinstance(answer, list) else [answer or {"jsonrpc": "2.0"}]:
            assert one["jsonrpc"] == "2.0"
