"""Runs belong to who made them, and have one id, whichever front end made them and whichever is used to get at them."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, post, running
from dockrion.testing import request as request_of
from tests.contracts.front_ends.base import KEPT, Ask, FrontEnd, served
from tests.contracts.front_ends.every import FRONT_ENDS, each
from tests.contracts.front_ends.own import Socket

KEYS = {
    "mode": "api_key",
    "api_keys": {
        "keys": [{"name": name, "env_var": name.upper()} for name in ("alice", "mallory")]
    },
}
ALICE, MALLORY = {"x_api_key": "a" * 20}, {"x_api_key": "m" * 20}


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALICE", "a" * 20)
    monkeypatch.setenv("MALLORY", "m" * 20)


async def asks(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    yield f"You said {await context.ask('Really?')}."


@each()
async def test_the_caller_chooses_the_id_once(front: FrontEnd) -> None:
    agent = ScriptedAgent(["a"])
    async with running(served(agent, streaming=KEPT)) as app:
        named = front.ask("hi").by(x_run_id="mine-1")
        if isinstance(front, Socket):
            named = named._replace(body=[{**named.body[0], "run_id": "mine-1"}])
        first = await front.tell(app, named)
        second = await front.tell(app, named)
        bad = await front.tell(app, front.ask("hi").by(x_run_id="not an id"))
        third = await front.tell(app, "hi")
    assert (first.run_id, first.heard.ended) == ("mine-1", "complete")
    if front.streams:
        assert (second.heard.ended, second.heard.code) == ("refused", "CONFLICT")
    if not isinstance(front, Socket):
        assert (bad.heard.ended, bad.heard.code) == ("refused", "VALIDATION_ERROR")
        assert len(agent.payloads) == (3 if second.heard.ended == "complete" else 2)
    assert third.run_id != "mine-1"


@each(lambda front: front.returns)
@pytest.mark.usefixtures("keys")
async def test_nobody_comes_back_to_a_run_of_another(front: FrontEnd) -> None:
    agent = ScriptedAgent(["a", "b"])
    async with running(served(agent, streaming=KEPT, auth=KEYS)) as app:
        mine = await front.tell(app, front.ask("hi").by(**ALICE))
        assert mine.heard.text == "ab"
        back = front.come_back("hi", mine.heard.cursors[0])
        stolen = await front.tell(app, back.by(**MALLORY))
        again = await front.tell(app, back.by(**ALICE))
    assert stolen.heard.ended == "refused"
    assert stolen.heard.code in ("GONE", "NOT_FOUND")
    assert stolen.heard.text == ""
    assert again.heard.ended == "complete"
    assert len(agent.payloads) == 1


@each(lambda front: front.answers)
@pytest.mark.usefixtures("keys")
async def test_nobody_answers_a_run_of_another(front: FrontEnd) -> None:
    async with running(served(asks, streaming=KEPT, auth=KEYS)) as app:
        asked = await front.tell(app, front.ask("hi").by(**ALICE))
        answer = front.answer(asked, ["no"])
        stolen = await front.tell(app, answer.by(**MALLORY))
        mine = await front.tell(app, front.answer(asked, ["yes"]).by(**ALICE))
    assert (stolen.heard.ended, stolen.heard.code) == ("refused", "NOT_FOUND")
    assert mine.heard.text.endswith("You said yes.")


def _others(run_id: str) -> list[tuple[str, str, Any]]:
    """Return all ways to see, stop or answer a run that is another's."""
    rpc = {"jsonrpc": "2.0", "id": 1, "params": {"id": run_id}}
    methods = ("GetTask", "CancelTask", "SubscribeToTask", "tasks/get", "tasks/cancel")
    return [
        ("GET", f"/runs/{run_id}", b""),
        ("GET", f"/runs/{run_id}/events", b""),
        ("DELETE", f"/runs/{run_id}", b""),
        ("POST", f"/runs/{run_id}/resume", "no"),
        ("GET", f"/v1/responses/resp_{run_id}", b""),
        ("GET", f"/v1/responses/resp_{run_id}?stream=true", b""),
        ("POST", f"/v1/responses/resp_{run_id}/cancel", b""),
        *(("POST", "/a2a", {**rpc, "method": method}) for method in methods),
    ]


@pytest.mark.usefixtures("keys")
async def test_nobody_sees_or_stops_a_run_of_another() -> None:
    async with running(served(asks, streaming=KEPT, auth=KEYS)) as app:
        async with post(
            app, "/invoke/stream", {"query": ""}, headers={"x-api-key": "a" * 20}
        ) as mine:
            await mine.read()
        run_id = mine.headers["x-run-id"]
        for method, path, body in _others(run_id):
            headers = {"x-api-key": "m" * 20}
            async with request_of(app, method, path, body=body, headers=headers) as exchange:
                told = (await exchange.read()).decode()
            assert "NOT_FOUND" in told, (method, path, told)
            assert "Really" not in told
        messages = [{"type": "cancel", "run_id": run_id}, {"type": "follow", "run_id": run_id}]
        socket = next(front for front in FRONT_ENDS if isinstance(front, Socket))
        for message in messages:
            told = await socket.tell(app, Ask(socket.path, [message]).by(**MALLORY))
            assert (told.heard.ended, told.heard.code) == ("refused", "NOT_FOUND")
        async with request_of(
            app, "GET", f"/runs/{run_id}", headers={"x-api-key": "a" * 20}
        ) as exchange:
            assert (await exchange.json())["status"] == "INTERRUPTED"


@pytest.mark.usefixtures("keys")
async def test_nobody_answers_beside_the_stream_of_another_or_hears_its_chat() -> None:
    async with running(served(asks, streaming=KEPT, auth=KEYS)) as app:
        mine, theirs = {"x-api-key": "a" * 20}, {"x-api-key": "m" * 20}
        async with post(app, "/invoke/stream?thread_id=t", {"query": ""}, headers=mine) as exchange:
            asked = [event.json() async for event in exchange.events()][-1]
        run_id, question = asked["run_id"], asked["interrupt_id"]
        result = {"action": "accept", "content": {"answer": "no"}}
        body = {"jsonrpc": "2.0", "id": f"{run_id}:{question}", "result": result}
        async with post(app, "/mcp", body, headers=theirs) as answering:
            told = (await answering.read()).decode()
        assert "NOT_FOUND" in told
        async with request_of(app, "GET", "/ai-sdk/t/stream", headers=theirs) as following:
            assert not await following.read()
        assert following.status == 204
        async with request_of(app, "GET", "/runs", headers=theirs) as listed:
            assert (await listed.json())["runs"] == []
        async with request_of(app, "GET", f"/runs/{run_id}", headers=mine) as looked_at:
            assert (await looked_at.json())["status"] == "INTERRUPTED"
