"""Tickets over HTTP, and the cookie that a run's events will leave."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import Any

import pytest

from dockrion.auth.base import TicketRules
from dockrion.auth.tickets import MemoryTickets
from dockrion.errors import AuthError
from dockrion.runtime.gate import Gate, Tickets
from dockrion.testing import app_for, post, request, running

from .test_auth import AUTH, PROTECT, key_of, keys, who

__all__ = ["keys"]

INVALID = {"detail": {"message": "Invalid ticket", "code": "AUTH_ERROR"}}


async def ticket_for(app: Any, path: str, name: str = "ann") -> str:
    async with post(app, "/auth/ticket", {"path": path}, headers=key_of(name)) as exchange:
        answer = await exchange.json()
    assert exchange.status == 200
    assert exchange.headers["cache-control"] == "no-store"
    assert answer.keys() == {"ticket", "expires_in"}
    assert answer["expires_in"] == 60
    return answer["ticket"]


async def call(app: Any, path: str, method: str = "POST", **headers: str) -> tuple[int, Any]:
    async with request(app, method, path, body=b"{}", headers=headers) as exchange:
        body = await exchange.read()
    return exchange.status, body


async def test_a_ticket_stands_for_its_caller_once() -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        path = f"/invoke?thread_id=t&ticket={await ticket_for(app, '/invoke', 'bob')}"
        async with post(app, path, {}) as first:
            answer = await first.json()
        async with post(app, path, {}) as again:
            refused = await again.json()
    assert answer["output"]["id"] == "bob"
    assert (again.status, refused) == (401, INVALID)
    assert "www-authenticate" in again.headers


@pytest.mark.parametrize("asked", ["/invoke", "/api/invoke"])
@pytest.mark.parametrize("used", ["/invoke", "/api/invoke"])
async def test_the_path_may_have_the_prefix_of_a_proxy_or_not(asked: str, used: str) -> None:
    async with running(app_for(who, auth=AUTH, expose={"root_path": "/api"})) as app:
        assert (await call(app, f"{used}?ticket={await ticket_for(app, asked)}"))[0] == 200


async def test_it_opens_no_other_path_and_is_spent_by_the_attempt() -> None:
    async with running(app_for(who, auth=PROTECT)) as app:
        ticket = await ticket_for(app, "/invoke/stream")
        assert (await call(app, f"/invoke?ticket={ticket}"))[0] == 401
        assert (await call(app, f"/invoke/stream?ticket={ticket}"))[0] == 401
        ticket = await ticket_for(app, "/metrics")
        assert (await call(app, f"/metrics?ticket={ticket}", "GET"))[0] == 200
        assert (await call(app, f"/metrics?ticket={ticket}", "GET"))[0] == 401


async def test_it_has_the_permissions_of_its_caller_and_no_more() -> None:
    async with running(app_for(who, auth=PROTECT)) as app:
        assert (await call(app, f"/invoke?ticket={await ticket_for(app, '/invoke', 'eve')}"))[
            0
        ] == 403


@pytest.mark.parametrize("query", ["ticket=", "ticket=x", "ticket=%ff", "ticket={}&ticket={}"])
async def test_a_ticket_that_is_none_is_refused_whatever_else_is_sent(query: str) -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        ticket = await ticket_for(app, "/invoke")
        path = f"/invoke?{query.replace('{}', ticket)}"
        assert (await call(app, path, **key_of("ann")))[0] == 401


async def test_a_ticket_gets_no_ticket() -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        ticket = await ticket_for(app, "/auth/ticket")
        status, _ = await call(app, f"/auth/ticket?ticket={ticket}")
    assert status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"path": 1}',
        b'{"path": null}',
        b'{"path": ""}',
        b'{"path": "invoke"}',
        b'{"path": "https://elsewhere.example/"}',
        b'{"path": "/a?b"}',
        b'{"path": "/a b"}',
        b'{"path": "/' + b"a" * 2000 + b'"}',
    ],
)
async def test_what_names_no_path_is_refused(body: bytes) -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        async with post(app, "/auth/ticket", body, headers=key_of("ann")) as exchange:
            answer = await exchange.json()
    assert (exchange.status, answer["code"]) == (400, "VALIDATION_ERROR")


async def test_only_a_post_gets_one_and_of_a_small_body() -> None:
    async with running(app_for(who, auth=AUTH)) as app:
        async with request(app, "GET", "/auth/ticket", headers=key_of("ann")) as exchange:
            await exchange.read()
        large = b'{"path": "/invoke"' + b" " * 70_000 + b"}"
        async with post(app, "/auth/ticket", large, headers=key_of("ann")) as too_large:
            await too_large.read()
    assert (exchange.status, exchange.headers["allow"]) == (405, "POST")
    assert too_large.status == 413


# The cookie

EVENTS = "/runs/r/events"


def gate() -> Gate:
    from dockrion.auth.api_keys import ApiKeyAuthenticator
    from dockrion.spec.auth import ApiKeysSpec

    tickets = Tickets(
        MemoryTickets(TicketRules(kind="ticket", seconds=60)),
        MemoryTickets(TicketRules(kind="pass", seconds=900, replaces=True, max_of_one=2)),
        900.0,
        frozenset({b"x-api-key", b"authorization"}),
    )
    section = ApiKeysSpec.model_validate({})
    return Gate(lambda: ApiKeyAuthenticator(section, {"DOCKRION_API_KEY": "k"}), tickets=tickets)


def scope(query: str = "", cookie: str = "", path: str = EVENTS, **more: Any) -> dict[str, Any]:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return {"path": path, "headers": headers, "query_string": query.encode(), **more}


def with_key(**more: Any) -> dict[str, Any]:
    return {**scope(**more), "headers": [(b"x-api-key", b"k")]}


async def ticket_of(one: Gate, path: str = EVENTS) -> str:
    assert one.tickets is not None
    return await one.tickets.once.issue(await one.authenticate(with_key()), path)


async def test_the_first_use_sets_a_cookie_that_reconnects_use() -> None:
    one = gate()
    query = f"ticket={await ticket_of(one)}"
    identity, header = await one.identify_reader(scope(query, scheme="https"))
    assert header is not None
    name, value = header
    assert name == b"set-cookie"
    morsel = next(iter(SimpleCookie(value.decode()).values()))
    assert morsel["path"] == EVENTS
    assert morsel["samesite"] == "Strict"
    assert morsel["httponly"]
    assert morsel["secure"]
    assert morsel["max-age"] == "900"

    cookie = f"other=1; {morsel.key}={morsel.value}"
    for _ in range(2):
        assert await one.identify_reader(scope(query, cookie)) == (identity, None)
    for path in ("/runs/other/events", "/invoke"):
        with pytest.raises(AuthError):
            await one.identify_reader(scope(query, cookie, path))
    # Nowhere else is a cookie looked at, and it is no ticket.
    with pytest.raises(AuthError):
        await one.identify(scope(cookie=cookie))
    with pytest.raises(AuthError):
        await one.identify_reader(scope(f"ticket={morsel.value}"))


async def test_a_ticket_is_no_cookie_and_a_wrong_cookie_does_not_hide_a_right_ticket() -> None:
    one = gate()
    with pytest.raises(AuthError):
        await one.identify_reader(scope(cookie=f"dockrion-pass={await ticket_of(one)}"))
    query = f"ticket={await ticket_of(one)}"
    _, header = await one.identify_reader(scope(query, 'dockrion-pass="; \x01'))
    assert header is not None
    assert b"; Secure" not in header[1]


async def cookie_of(one: Gate) -> str:
    _, header = await one.identify_reader(scope(f"ticket={await ticket_of(one)}"))
    assert header is not None
    return header[1].decode().partition(";")[0]


async def test_who_sends_credentials_does_not_call_with_a_cookie() -> None:
    one = gate()
    cookie = await cookie_of(one)
    for name in (b"x-api-key", b"authorization"):
        both = scope(cookie=cookie)
        both["headers"].append((name, b"wrong"))
        with pytest.raises(AuthError):
            await one.identify_reader(both)


async def test_a_new_ticket_counts_where_a_cookie_is_there_too() -> None:
    one = gate()
    cookie = await cookie_of(one)
    _, header = await one.identify_reader(scope(f"ticket={await ticket_of(one)}", cookie))
    assert header is not None
    assert not header[1].decode().startswith(cookie)


async def test_a_ticket_counts_also_where_a_proxy_has_left_credentials_of_its_own() -> None:
    one = gate()
    by_ticket = scope(f"ticket={await ticket_of(one)}")
    by_ticket["headers"].append((b"authorization", b"Basic eDp5"))
    _, header = await one.identify_reader(by_ticket)
    assert header is not None


async def test_who_has_too_many_cookies_loses_the_oldest() -> None:
    one = gate()
    first, second, third = [await cookie_of(one) for _ in range(3)]
    with pytest.raises(AuthError):
        await one.identify_reader(scope(cookie=first))
    for cookie in (second, third):
        assert (await one.identify_reader(scope(cookie=cookie)))[1] is None


async def test_who_sends_a_key_gets_no_cookie() -> None:
    identity, header = await gate().identify_reader(with_key())
    assert identity.auth_method == "api_key"
    assert header is None
    assert await Gate().identify_reader(scope()) == (await Gate().identify(scope()), None)
