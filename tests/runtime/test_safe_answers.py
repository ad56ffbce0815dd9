"""What answers carry for browsers and caches, and what they never carry: the values of secrets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dockrion import ValidationError
from dockrion.adapters.callables import CallableAgent
from dockrion.build.runtime_files import write_runtime
from dockrion.runtime.app import build_app
from dockrion.spec import load_dockspec
from dockrion.testing import app_for, post, request, running

SECRET = "tok-9f8e7d6c5b4a"
PAGES = ("/", "/docs", "/redoc")
DOCKFILE = """\
version: "1.0"
agent: {name: keeper, handler: "service:handle", description: "calls with ${TOKEN}"}
io_schema:
  input: {properties: {key: {type: string, default: "${TOKEN}", examples: ["x ${TOKEN}"]}}}
  output: {description: "${TOKEN}", properties: {text: {type: string}}}
expose: {}
metadata: {maintainer: "${TOKEN}", version: "1-${TOKEN}", tags: ["${TOKEN}"]}
arguments: {key: "${TOKEN}"}
secrets: {required: [{name: TOKEN}]}
"""


async def echo(payload: Any) -> Any:
    return {"got": payload}


async def headers_of(app: Any, path: str) -> dict[str, str]:
    async with request(app, "GET", path) as exchange:
        await exchange.read()
    return dict(exchange.headers)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_foreign_and_stands_in_no_foreign_frame(path: str) -> None:
    app = app_for(echo)
    async with running(app):
        headers = await headers_of(app, path)
    policy = headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'self'"} <= set(policy)
    (scripts,) = (rule for rule in policy if rule.startswith("script-src"))
    assert "unsafe" not in scripts
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_playground_has_scripts_and_styles_in_files_of_its_own_alone() -> None:
    app = app_for(echo)
    async with running(app), request(app, "GET", "/") as exchange:
        html = (await exchange.read()).decode()
    policy = exchange.headers["content-security-policy"].split("; ")
    assert {"script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(policy)
    assert "unsafe" not in exchange.headers["content-security-policy"]
    assert re.findall(r"<style|style=|\son\w+=|<script>", html) == []
    assert re.findall(r'(?:src|href)="([^"]*)"', html)
    assert not any(
        url.startswith(("/", "http")) for url in re.findall(r'(?:src|href)="([^"]*)"', html)
    )


@pytest.mark.parametrize(
    "path", [*PAGES, "/health", "/ready", "/schema", "/info", "/metrics", "/openapi.json"]
)
async def test_no_cache_keeps_an_answer_and_no_browser_guesses_its_type(path: str) -> None:
    app = app_for(echo)
    async with running(app):
        headers = await headers_of(app, path)
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


@pytest.mark.parametrize("body", [b"{}", b"{"])
async def test_no_cache_keeps_what_an_agent_said(body: bytes) -> None:
    app = app_for(echo)
    async with running(app), post(app, "/invoke", body) as exchange:
        await exchange.read()
    assert exchange.headers["cache-control"] == "no-store"
    assert exchange.headers["x-content-type-options"] == "nosniff"


async def test_an_error_of_a_path_has_a_true_type() -> None:
    app = app_for(echo)
    async with running(app):
        headers = await headers_of(app, "/nothing")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOKEN", SECRET)
    (tmp_path / "Dockfile.yaml").write_text(DOCKFILE)
    return tmp_path / "Dockfile.yaml"


@pytest.mark.parametrize(
    "path", [*PAGES, "/health", "/ready", "/schema", "/info", "/metrics", "/openapi.json"]
)
async def test_a_secret_that_the_dockfile_fills_in_is_in_no_answer(path: str, keeper: Path) -> None:
    app = build_app(load_dockspec(keeper), CallableAgent(echo, name="service:handle"))
    async with running(app):
        assert await app.state.dockrion.loaded()
        async with request(app, "GET", path) as exchange:
            text = (await exchange.read()).decode()
    assert exchange.status == 200
    assert SECRET not in text
    assert ("***" in text) is (path in ("/", "/schema", "/info", "/openapi.json"))


def test_a_secret_that_the_dockfile_fills_in_is_in_no_generated_file(keeper: Path) -> None:
    folder = write_runtime(keeper, load_dockspec(keeper))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert SECRET not in path.read_text()


def test_a_secret_in_a_value_that_is_wrong_is_not_in_the_message(
    keeper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.write_text(DOCKFILE.replace("expose: {}", 'expose: {port: "${TOKEN}"}'))
    with pytest.raises(ValidationError) as caught:
        load_dockspec(keeper)
    assert SECRET not in str(caught.value.to_dict())
