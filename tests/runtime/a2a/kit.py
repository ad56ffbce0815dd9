"""Messages of clients of A2A, agents that answer them, and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI

from dockrion.events.context import StreamContext
from dockrion.testing import app_for, post, read_sse

NUMBERS = {"input": {"properties": {"a": {"type": "number"}, "b": {}}, "required": ["a", "b"]}}


def served(agent: Any, /, **sections: Any) -> FastAPI:
    expose = {"protocols": ["a2a"], **sections.pop("expose", {})}
    return app_for(agent, expose=expose, **sections)


def call(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "q", "method": method, "params": params}


def said(text: str = "hi", *, method: str = "SendMessage", **more: Any) -> dict[str, Any]:
    configuration = more.pop("configuration", {})
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}], **more}
    return call(method, message=message, configuration=configuration)


async def ask(app: Any, body: Any, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with post(app, "/a2a", body, headers=named) as exchange:
        return await exchange.json()


async def told(app: Any, body: Any, **headers: str) -> list[dict[str, Any]]:
    """Return the results of a stream."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with post(app, "/a2a", body, headers=named) as exchange:
        return [event.json()["result"] for event in read_sse(await exchange.read())]


async def get(app: Any, task_id: str, **headers: str) -> dict[str, Any]:
    return (await ask(app, call("GetTask", id=task_id), **headers))["result"]


def texts(task: dict[str, Any]) -> list[str]:
    return ["".join(part["text"] for part in one["parts"]) for one in task.get("artifacts", [])]


def said_by(results: list[dict[str, Any]]) -> str:
    updates = [one["artifactUpdate"] for one in results if "artifactUpdate" in one]
    return "".join(part["text"] for one in updates for part in one["artifact"]["parts"])


def state(task: dict[str, Any]) -> str:
    return task["status"]["state"].removeprefix("TASK_STATE_")


async def asking(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    answer = await context.ask("Really?")
    yield f"You said {answer} in {context.thread_id}."


class Waits:
    """Says one word and waits for ever; it tells when it has begun and when it was stopped."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, payload: Any) -> Any:
        yield "a"
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
