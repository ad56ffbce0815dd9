"""What `/mcp` refuses, and how; whatever is sent gets an answer."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.testing import request, running
from dockrion.version import VERSION as VERSION_OF_OURS
from tests.runtime.mcp.kit import (
    CAPABILITIES,
    FORMS,
    OLD,
    STREAM,
    VERSION,
    calls,
    echo,
    of_2026,
    rpc,
    sent,
    served,
    speak,
)


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
