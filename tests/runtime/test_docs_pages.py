"""`/docs` and `/redoc`: whole without the internet, below any prefix. Chromium shows them in `tests/e2e`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from dockrion.testing import app_for, request, running

PAGES = ["/docs", "/redoc"]


async def nothing(payload: Any) -> Any:
    return {}


def mounted() -> Any:
    return Starlette(routes=[Mount("/agents/echo", app_for(nothing))])


def below_root_path() -> Any:
    return app_for(nothing, expose={"root_path": "/agents/echo"})


# The app, the prefix of what it gets, and the prefix that its callers see.
WAYS = pytest.mark.parametrize(
    ("make", "sent", "public"),
    [
        pytest.param(lambda: app_for(nothing), "", "", id="alone"),
        pytest.param(mounted, "/agents/echo", "/agents/echo", id="mounted"),
        pytest.param(below_root_path, "/agents/echo", "/agents/echo", id="behind a proxy"),
        pytest.param(below_root_path, "", "/agents/echo", id="behind a proxy that cuts"),
    ],
)


async def get(app: Any, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    async with request(app, "GET", path, headers=headers) as exchange:
        body = await exchange.read()
    return exchange.status, exchange.headers, body


def links(page: bytes) -> list[str]:
    return re.findall(r'(?:src|href)="(?!data:)([^"]+)"', page.decode())


@WAYS
@pytest.mark.parametrize("page", PAGES)
async def test_all_that_a_page_links_to_is_served(
    make: Any, sent: str, public: str, page: str
) -> None:
    app = make()
    async with running(app):
        status, headers, html = await get(app, sent + page)
        assert status == 200
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert len(links(html)) >= 3
        for link in [*links(html), "openapi.json"]:
            seen = urljoin(f"http://host{public}{page}", link).removeprefix("http://host")
            assert seen.startswith(f"{public}/")
            status, _, body = await get(app, sent + seen.removeprefix(public))
            assert (status, bool(body)) == (200, True), seen


@WAYS
async def test_the_document_says_below_which_prefix_the_paths_are(
    make: Any, sent: str, public: str
) -> None:
    app = make()
    async with running(app), request(app, "GET", f"{sent}/openapi.json") as exchange:
        servers = (await exchange.json()).get("servers")
    assert servers == ([{"url": public}] if public else None)


@pytest.mark.parametrize("page", PAGES)
async def test_no_page_names_a_host(page: str) -> None:
    app = app_for(nothing)
    async with running(app):
        _, headers, html = await get(app, page)
        assert b"//" not in html
        assert "http" not in headers["content-security-policy"]
        assert "default-src 'none'" in headers["content-security-policy"]
        for link in links(html):
            if link.endswith(("start.js", "page.css")):
                _, _, body = await get(app, f"/{link}")
                assert b"://" not in body


async def test_scripts_are_text_in_utf_8_and_are_sent_once() -> None:
    app = app_for(nothing)
    async with running(app):
        status, headers, _ = await get(app, "/docs/swagger-ui-bundle.js")
        assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        again = {"if-none-match": headers["etag"]}
        status, _, body = await get(app, "/docs/swagger-ui-bundle.js", **again)
    assert (status, body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/docs/nothing.js", "/docs/..%2Fdocs.html", "/redoc/../docs.html", "/docs/a/b"]
)
async def test_nothing_else_is_served_beside_the_scripts(path: str) -> None:
    app = app_for(nothing)
    async with running(app):
        status, _, body = await get(app, path)
    assert status == 404
    assert b"NOT_FOUND" in body


@pytest.mark.parametrize("page", PAGES)
async def test_a_trailing_slash_is_redirected(page: str) -> None:
    app = below_root_path()
    async with running(app):
        status, headers, _ = await get(app, f"{page}/")
    assert status == 307
    assert headers["location"].endswith(f"/agents/echo{page}")


async def test_the_playground_links_to_them() -> None:
    app = app_for(nothing)
    async with running(app):
        _, _, html = await get(app, "/")
    assert {"docs", "redoc", "openapi.json"} <= set(links(html))
