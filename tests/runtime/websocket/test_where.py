"""Where an app has a WebSocket, and what is said where it has none."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from dockrion.testing import app_for, post, request

from .agents import count
from .kit import ServerKind, listening, served, talk, types_of


async def test_a_path_without_a_socket_is_none(kind: ServerKind) -> None:
    from websockets.exceptions import InvalidStatus

    async with served(count, kind=kind) as port:
        for path in ("/invoke", "/elsewhere"):
            with pytest.raises(InvalidStatus):
                async with talk(port, path):
                    pass


async def test_a_request_that_asks_for_none_is_told_what_is_here() -> None:
    apps: list[Any] = []
    async with served(count, app_is=apps.append):
        async with request(apps[0], "GET", "/invoke/ws") as exchange:
            body = await exchange.json()
        async with post(apps[0], "/invoke/ws", {}) as posted:
            await posted.read()
        async with request(apps[0], "GET", "/openapi.json") as described:
            paths = (await described.json())["paths"]
    assert (exchange.status, body["code"]) == (426, "VALIDATION_ERROR")
    assert exchange.headers["upgrade"] == "websocket"
    assert exchange.headers["sec-websocket-version"] == "13"
    assert (posted.status, posted.headers["allow"]) == (405, "GET")
    assert "/invoke/ws" not in paths


async def test_with_a_websocket_alone_there_is_no_stream() -> None:
    apps: list[Any] = []
    expose = {"streaming": "websocket"}
    async with served(count, expose=expose, app_is=apps.append) as port, talk(port) as ws:
        async with post(apps[0], "/invoke/stream", {}) as exchange:
            await exchange.read()
        assert await ws.start()
        await ws.rest()
    assert exchange.status == 404


@pytest.mark.parametrize("path", ["/invoke/ws", "/api/invoke/ws"])
async def test_the_path_may_have_the_prefix_of_a_proxy_or_not(kind: ServerKind, path: str) -> None:
    expose = {"root_path": "/api"}
    async with served(count, kind=kind, expose=expose) as port, talk(port, path) as ws:
        assert await ws.start()


async def test_an_app_that_is_mounted_has_it_below_its_mount(kind: ServerKind) -> None:
    outer = FastAPI()
    outer.mount("/agent", app_for(count, expose={"streaming": "websocket"}))
    outer.has_socket = lambda path: path.startswith("/agent/")  # type: ignore[attr-defined]
    async with listening(outer, kind) as port, talk(port, "/agent/invoke/ws") as ws:
        await ws.start()
        assert types_of(await ws.rest())[-1] == "complete"


async def test_what_a_middleware_wraps_around_it_is_passed(kind: ServerKind) -> None:
    kinds: list[str] = []

    class Watching:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def watched(message: Any) -> None:
                kinds.append(message["type"])
                await send(message)

            await self.app(scope, receive, watched)

    def add(app: Any) -> None:
        app.add_middleware(Watching)

    async with served(count, kind=kind, app_is=add) as port, talk(port) as ws:
        await ws.start({"tokens": 100})
        assert len(await ws.rest()) == 102
    assert "websocket.accept" in kinds
