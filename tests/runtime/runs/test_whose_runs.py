"""Who may start, see, follow, answer and cancel a run, how often, and with which ticket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, app_for, request, running
from tests.runtime.runs.kit import ask, becomes, events_of, receive_until, sequences, started
from tests.runtime.test_auth import AUTH, NOBODY, key_of, keys

__all__ = ["keys"]

NO_GRACE = {"shutdown_grace": 0.05}
ALL = [
    ("GET", "/runs", b""),
    ("POST", "/runs", b"{}"),
    ("GET", "/runs/r", b""),
    ("GET", "/runs/a%20b", b""),
    ("DELETE", "/runs/r", b""),
    ("GET", "/runs/r/events", b""),
    ("POST", "/runs/r/resume", b"1"),
]


async def asks(payload: Any, context: StreamContext) -> Any:
    return {"answer": await context.ask(payload)}


async def echo(payload: Any) -> Any:
    return {"got": payload}


@pytest.mark.parametrize(("method", "path", "body"), ALL)
async def test_who_calls_is_asked_first(method: str, path: str, body: bytes) -> None:
    async with running(app_for(echo, auth=AUTH)) as app:
        nobody = await ask(app, method, path, body)
        wrong = await ask(app, method, path, body, {"X-API-Key": "wrong"})
        barred = await ask(app, method, path, body, key_of("eve"))
    assert (nobody.status, nobody.body) == (401, NOBODY)
    assert nobody.headers["www-authenticate"]
    assert (wrong.status, barred.status) == (401, 403)
    assert barred.body["detail"]["code"] == "PERMISSION_DENIED"


async def test_a_run_is_its_callers_and_no_others() -> None:
    async with running(app_for(asks, auth=AUTH, expose=NO_GRACE)) as app:
        run_id = await started(app, {}, "/runs?run_id=r", key_of("ann"))
        await becomes(app, run_id, "INTERRUPTED", key_of("ann"))
        for method, path, body in ALL:
            if "/r" in path.removeprefix("/runs"):
                other = await ask(app, method, path, body, key_of("bob"))
                assert (other.status, other.body["code"]) == (404, "NOT_FOUND"), path
                assert "x-run-id" not in other.headers
        taken = await ask(app, "POST", "/runs?run_id=r", {}, key_of("bob"))
        listed = await ask(app, "GET", "/runs", headers=key_of("bob"))
        own = await ask(app, "GET", "/runs", headers=key_of("ann"))
        await becomes(app, run_id, "INTERRUPTED", key_of("ann"))
    assert (taken.status, taken.body["code"]) == (409, "CONFLICT")
    assert listed.body["runs"] == []
    assert [run["run_id"] for run in own.body["runs"]] == ["r"]


async def test_who_manages_keys_sees_and_does_all() -> None:
    async with running(app_for(asks, auth=AUTH, expose=NO_GRACE)) as app:
        one = await started(app, {}, "/runs?run_id=one", key_of("ann"))
        two = await started(app, {}, "/runs?run_id=two", key_of("bob"))
        boss = key_of("boss")
        for run_id in (one, two):
            await becomes(app, run_id, "INTERRUPTED", boss)
        listed = await ask(app, "GET", "/runs", headers=boss)
        answered = await ask(app, "POST", "/runs/one/resume", b'"yes"', boss)
        cancelled = await ask(app, "DELETE", "/runs/two", headers=boss)
        assert [e.event for e in await events_of(app, one, headers=boss)][-1] == "complete"
    assert {run["run_id"] for run in listed.body["runs"]} == {"one", "two"}
    assert (answered.status, cancelled.status) == (202, 200)


async def test_a_key_of_idempotence_belongs_to_its_caller() -> None:
    async with running(app_for(echo, auth=AUTH)) as app:
        key = {"Idempotency-Key": "same"}
        ann = await ask(app, "POST", "/runs", {}, {**key, **key_of("ann")})
        bob = await ask(app, "POST", "/runs", {}, {**key, **key_of("bob")})
        again = await ask(app, "POST", "/runs", {}, {**key, **key_of("ann")})
    assert (ann.status, bob.status, again.status) == (202, 202, 200)
    assert ann.body["run_id"] == again.body["run_id"] != bob.body["run_id"]


async def test_starting_and_answering_count_and_looking_does_not() -> None:
    auth = {"mode": "none", "rate_limits": {"default": "2/day"}}
    async with running(app_for(asks, auth=auth, expose=NO_GRACE)) as app:
        first = await ask(app, "POST", "/runs", {})
        run_id = first.body["run_id"]
        await becomes(app, run_id, "INTERRUPTED")
        looked = await ask(app, "GET", "/runs")
        second = await ask(app, "POST", f"/runs/{run_id}/resume", b"1")
        third = await ask(app, "POST", f"/runs/{run_id}/resume", b"not even JSON")
        fourth = await ask(app, "POST", "/runs", {})
        await becomes(app, run_id, "COMPLETED")
        assert (await ask(app, "DELETE", f"/runs/{run_id}")).status == 400
    assert [a.status for a in (first, second, third, fourth)] == [202, 202, 429, 429]
    assert [a.headers["ratelimit-remaining"] for a in (first, second)] == ["1", "0"]
    assert third.body["detail"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert third.headers["retry-after"]
    assert "ratelimit-limit" not in looked.headers


async def ticket_for(app: Any, path: str) -> str:
    answer = await ask(app, "POST", "/auth/ticket", {"path": path}, key_of("ann"))
    return answer.body["ticket"]


async def test_a_ticket_opens_a_subscription_and_its_cookie_opens_it_again() -> None:
    go_on = asyncio.Event()
    agent = ScriptedAgent(["a", go_on, {"done": True}])
    async with running(app_for(agent, auth=AUTH)) as app:
        run_id = await started(app, {}, headers=key_of("ann"))
        path = f"/runs/{run_id}/events"
        with_ticket = f"{path}?ticket={await ticket_for(app, path)}"
        async with request(app, "GET", with_ticket) as one:
            await receive_until(one, b'"content":"a"')
        cookie = one.headers["set-cookie"].partition(";")[0]
        refused = await ask(app, "GET", with_ticket)
        go_on.set()
        headers = {"Cookie": cookie, "Last-Event-ID": f"{run_id}:1"}
        async with request(app, "GET", with_ticket, headers=headers) as again:
            assert sequences([event async for event in again.events()]) == [2]
        assert "set-cookie" not in again.headers
        elsewhere = await ask(app, "GET", f"/runs/{run_id}", headers=headers)
    assert refused.body == {"detail": {"message": "Invalid ticket", "code": "AUTH_ERROR"}}
    assert (refused.status, elsewhere.status) == (401, 401)
    assert f"Path={path};" in one.headers["set-cookie"]


async def test_a_ticket_of_another_caller_does_not_open_the_run() -> None:
    async with running(app_for(echo, auth=AUTH)) as app:
        run_id = await started(app, {}, headers=key_of("bob"))
        path = f"/runs/{run_id}/events"
        answer = await ask(app, "GET", f"{path}?ticket={await ticket_for(app, path)}")
    assert (answer.status, answer.body["code"]) == (404, "NOT_FOUND")
