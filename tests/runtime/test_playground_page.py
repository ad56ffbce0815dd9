"""The server's part of the page at `/`: what it says without JavaScript, and the files that make it more."""

from __future__ import annotations

import gzip
import html
import json
import re
import shlex
from typing import Any
from urllib.parse import urlsplit

import pytest

from dockrion.testing import app_for, post, request, running

SCHEMA = {
    "properties": {"query": {"type": "string", "default": '<it\'s> & "here"'}},
    "required": ["query"],
}


async def echo(payload: Any) -> Any:
    return payload


async def page(app: Any, path: str = "/") -> str:
    async with request(app, "GET", path) as exchange:
        return (await exchange.read()).decode()


def line(text: str) -> list[str]:
    found = re.search(r"<code[^>]*>(.*?)</code>", text, re.DOTALL)
    assert found is not None
    return shlex.split(html.unescape(found[1]))


@pytest.mark.parametrize(
    ("expose", "path"),
    [
        ({}, "/invoke/stream"),
        ({"streaming": "none"}, "/invoke"),
        ({"root_path": "/agents/echo"}, "/agents/echo/invoke/stream"),
    ],
)
async def test_the_line_on_the_page_can_be_pasted(expose: dict[str, Any], path: str) -> None:
    app = app_for(echo, io_schema={"input": SCHEMA}, expose=expose)
    async with running(app):
        text = await page(app)
        arguments = line(text)
        url = urlsplit(arguments[arguments.index("POST") + 1])
        async with post(app, url.path, json.loads(arguments[-1])) as exchange:
            await exchange.read()

    assert exchange.status == 200
    assert url.path == path
    assert ("as it comes" in text) is ("-N" in arguments)
    assert "<it's>" not in text


async def test_the_page_names_the_agent_as_text() -> None:
    agent = {"name": "echo", "handler": "m:f", "description": "Says <b>what</b> you said"}
    app = app_for(echo, agent=agent)
    async with running(app):
        text = await page(app)
    assert "<title>echo</title>" in text
    assert "Says &lt;b&gt;what&lt;/b&gt; you said" in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    ("sections", "on"),
    [
        ({}, {"invoke": True, "stream": True, "runs": True}),
        (
            {"expose": {"streaming": "none"}, "streaming": {"async_runs": False}},
            {"invoke": True, "stream": False, "runs": False},
        ),
        ({"expose": {"rest": False}}, {"invoke": False, "stream": True, "runs": True}),
    ],
)
async def test_the_page_knows_what_is_on(sections: dict[str, Any], on: dict[str, bool]) -> None:
    app = app_for(echo, **sections)
    async with running(app):
        text = await page(app)
    (facts,) = re.findall(r'data-facts="([^"]*)"', text)
    known = json.loads(html.unescape(facts))
    assert {name: known[name] for name in on} == on
    assert known["auth"] is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [("playground.js", "text/javascript"), ("playground.css", "text/css")],
)
async def test_the_files_of_the_page_are_asked_for_anew_and_told_to_be_the_same(
    name: str, kind: str
) -> None:
    app = app_for(echo)
    async with running(app):
        async with request(app, "GET", f"/playground/{name}") as first:
            assert len(await first.read()) > 1000
        headers = {"if-none-match": first.headers["etag"]}
        async with request(app, "GET", f"/playground/{name}", headers=headers) as again:
            assert await again.read() == b""
    assert first.headers["content-type"].startswith(kind)
    assert first.headers["cache-control"] == "no-cache"
    assert (first.status, again.status) == (200, 304)


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1, gzip;q=0.5", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("", False),
    ],
)
async def test_who_takes_compressed_files_gets_them(accepted: str, is_compressed: bool) -> None:
    app = app_for(echo)
    path, headers = "/playground/playground.js", {"accept-encoding": accepted}
    async with running(app):
        async with request(app, "GET", path, headers=headers) as exchange:
            content = await exchange.read()
        async with request(app, "GET", path, headers={"accept-encoding": "identity"}) as plain:
            expected = await plain.read()
    assert exchange.headers["vary"] == "accept-encoding"
    assert ("content-encoding" in exchange.headers) is is_compressed
    assert (gzip.decompress(content) if is_compressed else content) == expected


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fplayground.html", "%2e%2e"])
async def test_there_are_no_other_files(name: str) -> None:
    app = app_for(echo)
    async with running(app), request(app, "GET", f"/playground/{name}") as exchange:
        await exchange.read()
    assert exchange.status == 404


async def test_without_a_script_the_page_names_only_calls_that_there_are() -> None:
    expose = {"rest": False, "streaming": "none", "protocols": ["mcp", "a2a"]}
    async with running(app := app_for(echo, io_schema={"input": SCHEMA}, expose=expose)):
        arguments = line(await page(app))
        url = urlsplit(arguments[arguments.index("POST") + 1])
        async with post(app, url.path, json.loads(arguments[-1])) as exchange:
            await exchange.read()
    assert (url.path, exchange.status) == ("/runs", 202)

    nothing = {"async_runs": False}
    async with running(app := app_for(echo, expose=expose, streaming=nothing)):
        text = await page(app)
    assert "curl" not in text
    assert "clients of these protocols" in text
    for address in (
        "MCP: http://testserver/mcp",
        "A2A: http://testserver/.well-known/agent-card.json",
    ):
        assert address in text
