"""What a token costs in the words of each protocol: prints JSON. CPU of the app, in memory, without a server or client.

`paced` lets each token leave by itself, as a model's do; `burst` lets them leave in batches. `held` are runs that are
kept, so that their callers may come back. `ratio` is to the native stream.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from dockrion.runtime.websocket.frames import text_frames
from dockrion.testing import app_for, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TOKENS = 20_000
ROUNDS = 3
CHAT = {"messages": [{"role": "user", "content": "hi"}], "stream": True}
CALL: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "test", "arguments": {}},
}
MESSAGE = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
TASK = {"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {"message": MESSAGE}}
PATHS: dict[str, tuple[str, Any]] = {
    "native": ("/invoke/stream", {}),
    "openai, chat completions": ("/v1/chat/completions", CHAT),
    "openai, responses": ("/v1/responses", {"input": "hi", "stream": True}),
    "ai-sdk": ("/ai-sdk", CHAT),
    "a2a": ("/a2a", TASK),
    "ag-ui": ("/ag-ui", {**CHAT, "threadId": "t", "runId": "r"}),
    "mcp": ("/mcp", CALL),
    "mcp, with tokens": (
        "/mcp",
        {
            **CALL,
            "params": {**CALL["params"], "_meta": {"progressToken": 1, "dockrion/tokens": True}},
        },
    ),
    "websocket": ("/invoke/ws", {}),
}


async def paced(_payload: Any) -> AsyncGenerator[str]:
    for _ in range(TOKENS):
        yield " token"
        await asyncio.sleep(0)


async def burst(_payload: Any) -> AsyncGenerator[str]:
    for _ in range(TOKENS):
        yield " token"


def main() -> None:
    result = {
        f"{agent.__name__}{', held' if held else ''}": asyncio.run(measure(agent, held=held))
        for agent in (paced, burst)
        for held in (False, True)
    }
    print(json.dumps(result, indent=2))


async def measure(agent: Any, *, held: bool) -> dict[str, Any]:
    connection = {"on_disconnect": "continue" if held else "cancel"}
    app = app_for(
        agent,
        expose={
            "streaming": ["sse", "websocket"],
            "protocols": ["openai", "ag-ui", "ai-sdk", "a2a", "mcp"],
        },
        # Where there are async runs, the tasks of A2A are always kept.
        streaming={"connection": connection, "async_runs": held},
    )
    best = dict.fromkeys(PATHS, float("inf"))
    async with running(app):
        for _ in range(ROUNDS):
            for name, (path, body) in PATHS.items():
                measured = cpu_of_socket if name == "websocket" else cpu
                best[name] = min(best[name], await measured(app, path, body))
    return {
        name: {
            "cpu_s_per_million_tokens": round(seconds * 1e6 / TOKENS, 2),
            "ratio": round(seconds / best["native"], 2),
        }
        for name, seconds in best.items()
    }


async def cpu(app: Any, path: str, body: Any) -> float:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"content-type", b"application/json"),
            (b"accept", b"application/json, text/event-stream"),
        ],
        "client": ("127.0.0.1", 1),
    }
    messages = iter([{"type": "http.request", "body": json.dumps(body).encode()}])
    never = asyncio.Event()

    async def receive() -> Any:
        message = next(messages, None)
        if message is None:
            await never.wait()
        return message

    class RequestResponseCycle:
        """Named as the server's, whose `send` lets a run's events leave in the agent's own step."""

        async def send(self, message: Any) -> None:
            pass

    began = time.process_time()
    await app(scope, receive, RequestResponseCycle().send)
    return time.process_time() - began


async def cpu_of_socket(app: Any, path: str, body: Any) -> float:
    """The same over a WebSocket, with the frames that our server makes of its messages."""
    asked = json.dumps({"type": "run", "payload": body})
    said = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": asked}]
    ended = asyncio.Event()
    scope = {
        "type": "websocket",
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "extensions": {"dockrion.websocket": {"limit": id}},
    }

    class WebSocketProtocol:
        """Named as the server's, whose `send` lets a run's events leave in the agent's own step."""

        async def send(self, message: Any) -> None:
            if message["type"] == "dockrion.websocket.send":
                text_frames(message["messages"])
                if b'"type":"complete"' in message["messages"][-1]:
                    ended.set()

    async def receive() -> Any:
        if said:
            return said.pop(0)
        await ended.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    began = time.process_time()
    await app(scope, receive, WebSocketProtocol().send)
    return time.process_time() - began


if __name__ == "__main__":
    main()
