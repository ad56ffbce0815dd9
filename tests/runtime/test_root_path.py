"""`expose.root_path`: the app below a prefix, whether or not the proxy cuts it off."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from dockrion.testing import app_for, post, request, running

PREFIX = "/agents/echo"


async def echo(payload: Any) -> Any:
    return {"got": payload}


@pytest.mark.parametrize("sent", ["", PREFIX])
async def test_calls_work_with_and_without_the_prefix(sent: str) -> None:
    app = app_for(echo, expose={"root_path": PREFIX})
    async with running(app):
        async with post(app, f"{sent}/invoke", {"a": 1}) as exchange:
            assert (await exchange.json())["output"] == {"got": {"a": 1}}
        async with post(app, f"{sent}/invoke/stream", {"a": 1}) as exchange:
            assert [event.event async for event in exchange.events()] == ["started", "complete"]
        async with request(app, "GET", f"{sent}/health") as exchange:
            assert (await exchange.json())["status"] == "ok"


@pytest.mark.parametrize("sent", ["", PREFIX])
async def test_a_redirect_leads_to_where_callers_see_the_path(sent: str) -> None:
    app = app_for(echo, expose={"root_path": PREFIX})
    async with running(app), post(app, f"{sent}/invoke/?a=1", {}) as exchange:
        await exchange.read()
    assert exchange.status == 307
    assert exchange.headers["location"] == f"{PREFIX}/invoke?a=1"


@pytest.mark.parametrize("path", [f"{PREFIX}s/invoke", f"{PREFIX}invoke"])
async def test_a_path_that_only_begins_like_the_prefix_is_not_below_it(path: str) -> None:
    app = app_for(echo, expose={"root_path": PREFIX})
    async with running(app), post(app, path, {}) as exchange:
        await exchange.read()
    assert exchange.status == 404


async def test_an_app_that_mounts_this_one_knows_the_prefix_better() -> None:
    inner = app_for(echo, expose={"root_path": "/elsewhere"})
    app = Starlette(routes=[Mount(PREFIX, inner)])
    async with running(app), post(app, f"{PREFIX}/invoke", {}) as exchange:
        await exchange.read()
    assert exchange.status == 200
