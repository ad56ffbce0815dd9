"""The welcome page: its curl line works as it stands, without JavaScript."""

from __future__ import annotations

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
