"""Messages of clients of MCP, agents to call, and what comes back."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI

from dockrion.events.context import StreamContext
from dockrion.testing import Exchange, SSEEvent, app_for, post, read_sse

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


async def next_event(exchange: Exchange) -> SSEEvent:
    """Return the next event with a message of a stream that stays open."""
    while True:
        for event in read_sse(await exchange.receive()):
            if event.data:
                return event


async def next_message(exchange: Exchange) -> Any:
    return (await next_event(exchange)).json()


async def accept(app: FastAPI, question: Any, answer: str, headers: dict[str, str]) -> int:
    result = {"action": "accept", "content": {"answer": answer}}
    return (await sent(app, {"jsonrpc": "2.0", "id": question["id"], "result": result}, headers))[0]
