"""Middleware that an app's user puts around it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.middleware.base import BaseHTTPMiddleware

from dockrion.testing import app_for, post, running


async def _dispatch(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def test_a_caller_who_leaves_a_run_is_no_bug_for_middleware() -> None:
    begun = asyncio.Event()

    async def hang(payload: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    app = app_for(hang)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_dispatch)
    async with running(app), asyncio.timeout(5), post(app, "/invoke", {}):
        await begun.wait()


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_a_caller_who_leaves_before_its_request_is_there_is_no_bug_for_middleware(
    path: str,
) -> None:
    app = app_for(lambda payload: payload)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_dispatch)
    messages = [
        {"type": "http.request", "body": b'{"half": ', "more_body": True},
        {"type": "http.disconnect"},
    ]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}
    async with running(app), asyncio.timeout(5):
        await app(scope, receive, send)
    assert statuses == [499]
