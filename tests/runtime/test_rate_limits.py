"""`auth.rate_limits` where requests come in: what counts, for whom, and what the caller is told."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from dockrion.auth.addresses import ClientAddresses
from dockrion.auth.rates import MemoryRateLimiter, RateTable
from dockrion.errors import RateLimitError
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.runtime.rates import CallRates
from dockrion.runtime.requests import Request
from dockrion.testing import app_for, post, running

ONE_A_DAY = {"mode": "none", "rate_limits": {"default": "1/day"}}


class Agent:
    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, payload: Any) -> Any:
        self.calls += 1
        return {"got": payload}


def limited(agent: Any, **sections: Any) -> FastAPI:
    return app_for(agent, auth=ONE_A_DAY, **sections)


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_a_call_too_many_is_429_and_the_agent_does_not_run(path: str) -> None:
    agent = Agent()
    async with running(limited(agent)) as app:
        async with post(app, path, {}) as first:
            await first.read()
        async with post(app, path, {}) as second:
            answer = await second.json()
    assert (first.status, second.status) == (200, 429)
    assert agent.calls == 1
    assert answer == {
        "detail": {
            "message": "Too many calls: 1 per day are allowed. Try again in 86400 s.",
            "code": "RATE_LIMIT_EXCEEDED",
        }
    }
    assert second.headers["retry-after"] == second.headers["ratelimit-reset"] == "86400"


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_an_answer_says_what_is_left(path: str) -> None:
    auth = {"mode": "none", "rate_limits": {"default": "2/day"}}
    seen: list[tuple[str, ...]] = []
    async with running(app_for(Agent(), auth=auth)) as app:
        for _ in range(3):
            async with post(app, path, {}) as exchange:
                await exchange.read()
            names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
            seen.append(tuple(exchange.headers[name] for name in names))
    assert seen == [("2", "1", "86400"), ("2", "0", "86400"), ("2", "0", "86400")]


async def test_without_limits_no_answer_has_their_headers() -> None:
    async with running(app_for(Agent())) as app, post(app, "/invoke", {}) as exchange:
        await exchange.read()
    assert not any(name.startswith("ratelimit") for name in exchange.headers)


async def test_both_ways_to_run_and_calls_that_are_wrong_count_together() -> None:
    agent = Agent()
    async with running(limited(agent)) as app:
        async with post(app, "/invoke", b"{") as wrong:
            await wrong.read()
        async with post(app, "/invoke/stream", {}) as late:
            await late.read()
    assert (wrong.status, late.status) == (400, 429)
    assert wrong.headers["ratelimit-remaining"] == "0"


async def test_resuming_counts() -> None:
    async with running(limited(Agent())) as app:
        async with post(app, "/invoke", {}) as first:
            await first.read()
        async with post(app, "/invoke/stream", {}, headers={"last-event-id": "a:1"}) as resumed:
            await resumed.read()
    assert resumed.status == 429


async def test_a_call_too_many_is_refused_before_its_body_is_read() -> None:
    async with running(limited(Agent(), expose={"limits": {"max_body_bytes": 10}})) as app:
        statuses: list[int | None] = []
        for _ in range(2):
            async with post(app, "/invoke", b"x" * 100) as exchange:
                await exchange.read()
            statuses.append(exchange.status)
    assert statuses == [413, 429]


def request(client: str | None, *headers: tuple[bytes, bytes]) -> Request:
    return Request(
        {"type": "http", "client": client and (client, 1), "headers": [*headers], "path": "/invoke"}
    )


def rates(trusted: tuple[str, ...] = (), **by_role: str) -> CallRates:
    return CallRates(RateTable(by_role), ClientAddresses(trusted), MemoryRateLimiter())


async def refused(counted: CallRates, identity: Identity, asked: Request) -> bool:
    try:
        await counted.admit(identity, asked)
    except RateLimitError:
        return True
    return False


async def test_open_callers_count_by_their_address() -> None:
    counted = rates(default="1/day")
    assert not await refused(counted, ANONYMOUS, request("192.0.2.1"))
    assert not await refused(counted, ANONYMOUS, request("192.0.2.2"))
    assert await refused(counted, ANONYMOUS, request("192.0.2.1"))


async def test_open_callers_behind_a_trusted_proxy_count_by_what_it_says() -> None:
    counted = rates(trusted=("192.0.2.0/24",), default="1/day")

    async def from_behind(address: bytes) -> bool:
        asked = request("192.0.2.1", (b"x-forwarded-for", address))
        return await refused(counted, ANONYMOUS, asked)

    assert not await from_behind(b"198.51.100.1")
    assert not await from_behind(b"198.51.100.2")
    assert await from_behind(b"203.0.113.66, 198.51.100.1")


async def test_a_known_caller_counts_wherever_it_calls_from() -> None:
    counted = rates(default="1/day")
    known = Identity(id="192.0.2.9", auth_method="api_key")
    assert not await refused(counted, known, request("192.0.2.1"))
    assert await refused(counted, known, request("192.0.2.2"))
    assert not await refused(counted, ANONYMOUS, request("192.0.2.9"))


async def test_the_rate_is_that_of_the_callers_role() -> None:
    counted = rates(default="1/day", paid="3/day")
    paid = Identity(id="a", auth_method="jwt", roles=("paid",))
    answers = [await refused(counted, paid, request(None)) for _ in range(4)]
    assert answers == [False, False, False, True]


async def test_without_a_rate_nobody_is_counted() -> None:
    asked = request(None)
    await rates(paid="1/day").admit(ANONYMOUS, asked)
    assert asked.answer_headers == ()


def test_the_document_has_the_answer_where_there_are_limits() -> None:
    document = limited(Agent()).openapi()
    for path in ("/invoke", "/invoke/stream"):
        answer = document["paths"][path]["post"]["responses"]["429"]
        assert set(answer["headers"]) >= {"Retry-After", "RateLimit-Limit", "RateLimit-Reset"}
    assert "RateLimitLimit" in document["components"]["headers"]
    without = app_for(Agent()).openapi()
    assert "429" not in without["paths"]["/invoke"]["post"]["responses"]
    assert "RateLimitLimit" not in without["components"]["headers"]
