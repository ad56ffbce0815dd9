from __future__ import annotations

from typing import Any

import pytest

from dockrion.testing import app_for, post, request, running


async def speak(payload: Any) -> Any:
    yield "a"


ORIGIN = {"Origin": "https://page.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, last-event-id",
}


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream", "/health"])
async def test_by_default_every_origin_may_call_and_read_our_headers(path: str) -> None:
    async with running(app_for(speak)) as app:
        method, body = ("GET", b"") if path == "/health" else ("POST", b"{}")
        async with request(app, method, path, body=body, headers=ORIGIN) as exchange:
            await exchange.read()
    assert exchange.status == 200
    assert exchange.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in exchange.headers
    exposed = exchange.headers["access-control-expose-headers"]
    assert {"X-Run-ID", "X-Request-ID", "Location", "Retry-After"} <= set(exposed.split(", "))


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream", "/info"])
async def test_preflights_are_answered(path: str) -> None:
    async with running(app_for(speak)) as app:
        async with request(app, "OPTIONS", path, headers=PREFLIGHT) as exchange:
            await exchange.read()
    assert exchange.status == 200
    assert exchange.headers["access-control-allow-origin"] == "*"
    assert "POST" in exchange.headers["access-control-allow-methods"]
    assert "last-event-id" in exchange.headers["access-control-allow-headers"]
    assert exchange.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/invoke", "/invoke/", "/docs"])
async def test_every_answer_has_the_request_id_of_its_caller(path: str) -> None:
    headers = {**ORIGIN, "X-Request-ID": "mine-1"}
    async with running(app_for(speak)) as app:
        async with request(app, "GET", path, headers=headers) as exchange:
            await exchange.read()
    assert exchange.headers["x-request-id"] == "mine-1"


async def test_errors_too_can_be_read_by_a_page() -> None:
    async with running(app_for(speak)) as app:
        async with post(app, "/invoke", b"{", headers=ORIGIN) as exchange:
            await exchange.read()
        async with request(app, "GET", "/nowhere", headers=ORIGIN) as missing:
            await missing.read()
    assert (exchange.status, missing.status) == (400, 404)
    assert exchange.headers["access-control-allow-origin"] == "*"
    assert missing.headers["access-control-allow-origin"] == "*"


async def test_named_origins_alone_may_call_and_with_credentials_if_so() -> None:
    cors = {"origins": ["https://page.example"], "headers": ["X-Mine"], "credentials": True}
    async with running(app_for(speak, expose={"cors": cors})) as app:
        async with post(app, "/invoke", {}, headers=ORIGIN) as ours:
            await ours.read()
        async with post(app, "/invoke", {}, headers={"Origin": "https://evil.example"}) as other:
            await other.read()
        async with request(app, "OPTIONS", "/invoke", headers=PREFLIGHT) as preflight:
            await preflight.read()
    assert ours.headers["access-control-allow-origin"] == "https://page.example"
    assert ours.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers
    allowed = {
        name.lower() for name in preflight.headers["access-control-allow-headers"].split(", ")
    }
    assert {"x-mine", "last-event-id", "x-run-id", "x-thread-id"} <= allowed


async def test_callers_without_origin_see_nothing_of_it() -> None:
    async with running(app_for(speak)) as app, post(app, "/invoke", {}) as exchange:
        await exchange.read()
    assert not any(name.startswith("access-control") for name in exchange.headers)


@pytest.mark.parametrize("path", ["/api/invoke", "/invoke"])
async def test_a_root_path_is_served_whether_the_proxy_takes_it_off_or_not(path: str) -> None:
    app = app_for(speak, expose={"root_path": "/api"})
    async with running(app) as live:
        async with post(live, path, {}) as exchange:
            assert (await exchange.json())["success"] is True
        async with request(live, "GET", path.replace("invoke", "health")) as health:
            await health.read()
        async with request(live, "GET", path.replace("invoke", "apixinvoke")) as other:
            await other.read()
    assert (exchange.status, health.status, other.status) == (200, 200, 404)
