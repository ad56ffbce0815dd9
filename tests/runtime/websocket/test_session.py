"""Runs on one connection, as a client of `websockets` sees them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anyio
import pytest

from dockrion.testing import read_sse, request

from .agents import Gated, ask, count
from .kit import HELD, ServerKind, Talk, served, talk, types_of


async def test_a_run_is_accepted_and_then_told(kind: ServerKind) -> None:
    async with served(count, kind=kind) as port, talk(port) as ws:
        answer = await ws.ask("run", id="a", payload={"tokens": 2})
        run_id, request_id = answer.pop("run_id"), answer.pop("request_id")
        assert answer == {"type": "accepted", "id": "a", "status": "ACCEPTED"}
        events = await ws.rest()
    assert types_of(events) == ["started", "token", "token", "complete"]
    assert [event["id"] for event in events] == [f"{run_id}:{number}" for number in range(4)]
    assert events[-1]["output"] == {"content": "t0 t1 "}
    assert len(request_id) == 32


@pytest.mark.parametrize("streaming", [{}, HELD], ids=["unkept", "held"])
async def test_two_hundred_runs_at_once_do_not_mix(
    kind: ServerKind, streaming: dict[str, Any]
) -> None:
    async with served(count, kind=kind, streaming=streaming) as port, talk(port) as ws:
        for number in range(200):
            await ws.say("run", id=str(number), payload={"tokens": number % 7 + 1})
        ids: dict[str, str] = {}
        events: dict[str, list[dict[str, Any]]] = {}
        ended = 0
        while ended < 200:
            message = await ws.next()
            if message["type"] == "accepted":
                ids[message["run_id"]] = message["id"]
                events[message["run_id"]] = []
            else:
                events[message["run_id"]].append(message)
                ended += message["type"] == "complete"
    assert sorted(map(int, ids.values())) == list(range(200))
    for run_id, of in events.items():
        assert [event["sequence"] for event in of] == list(range(int(ids[run_id]) % 7 + 3))


async def test_messages_are_the_data_lines_of_the_same_run(kind: ServerKind) -> None:
    apps: list[Any] = []
    async with (
        served(count, kind=kind, streaming=HELD, app_is=apps.append) as port,
        talk(port) as ws,
    ):
        run_id = await ws.start({"tokens": 500})
        said: list[str] = []
        while not said or json.loads(said[-1])["type"] != "complete":
            said.append(str(await ws.connection.recv()))
        async with request(apps[0], "GET", f"/runs/{run_id}/events") as exchange:
            told = [event.data for event in read_sse(await exchange.read())]
    assert said == told


async def test_ten_thousand_tokens_come_whole_and_in_order(kind: ServerKind) -> None:
    async with served(count, kind=kind) as port, talk(port) as ws:
        await ws.start({"tokens": 10_000})
        events = await ws.rest()
    assert [event["sequence"] for event in events] == list(range(10_002))


async def test_a_run_goes_on_while_others_are_silent(kind: ServerKind) -> None:
    gated = Gated()

    async def agent(payload: Any) -> Any:
        async for token in count(payload) if "tokens" in payload else gated(payload):
            yield token

    async with served(agent, kind=kind) as port, talk(port) as ws:
        silent = await ws.start()
        assert types_of([await ws.next(), await ws.next()]) == ["started", "token"]
        await ws.say("run", payload={"tokens": 50})
        accepted = await ws.next()
        assert len(await ws.rest(accepted["run_id"])) == 52
        gated.open.set()
        assert types_of(await ws.rest(silent)) == ["token", "complete"]


async def test_a_cancel_ends_a_run_with_its_reason(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind) as port, talk(port) as ws:
        run_id = await ws.start()
        await ws.next()
        await ws.say("cancel", id="c", run_id=run_id, reason="enough")
        seen = [await ws.next() for _ in range(3)]
        assert await gated.left.get() == "stopped"
    by_type = {message["type"]: message for message in seen}
    assert by_type["accepted"]["id"] == "c"
    assert by_type["accepted"]["status"] == "CANCELLED"
    assert by_type["cancelled"]["reason"] == "enough"


@pytest.mark.parametrize("streaming", [{}, HELD], ids=["unkept", "held"])
async def test_a_cancel_of_what_is_over_or_unknown_is_refused(
    kind: ServerKind, streaming: dict[str, Any]
) -> None:
    async with served(count, kind=kind, streaming=streaming) as port, talk(port) as ws:
        run_id = await ws.start()
        await ws.rest()
        over = await ws.ask("cancel", run_id=run_id)
        unknown = await ws.ask("cancel", id="u", run_id="nobody")
        odd = await ws.ask("cancel", run_id="../x")
    assert (over["status"], over["code"]) == (
        (400, "CONFLICT") if streaming else (404, "NOT_FOUND")
    )
    assert (unknown["type"], unknown["id"], unknown["code"]) == ("refused", "u", "NOT_FOUND")
    assert odd["code"] == "NOT_FOUND"


@pytest.mark.parametrize("streaming", [{}, HELD], ids=["unkept", "held"])
async def test_a_question_is_answered_on_the_connection_and_the_run_goes_on(
    kind: ServerKind, streaming: dict[str, Any]
) -> None:
    async with served(ask, kind=kind, streaming=streaming) as port, talk(port) as ws:
        run_id = await ws.start()
        events = [await ws.next() for _ in range(3)]
        assert types_of(events) == ["started", "token", "interrupt"]
        await ws.say("answer", id="yes", run_id=run_id, answer="yes")
        seen = [await ws.next() for _ in range(3)]
        again = await ws.ask("answer", run_id=run_id, answer="no")
    [accepted] = [one for one in seen if one["type"] == "accepted"]
    assert (accepted["id"], accepted["status"], accepted["run_id"]) == ("yes", "ACCEPTED", run_id)
    rest = [one for one in seen if one is not accepted]
    assert [one["sequence"] for one in rest] == [3, 4]
    assert rest[-1]["output"] == {"content": "Well. You said yes."}
    assert (again["status"], again["code"]) == (409, "CONFLICT")


async def test_whoever_leaves_ends_their_runs_within_a_second(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind) as port:
        async with talk(port) as ws:
            await ws.start()
            await ws.next()
        with anyio.fail_after(1):
            assert await gated.left.get() == "stopped"


async def test_a_cut_cable_is_a_caller_who_left(kind: ServerKind) -> None:
    gated = Gated()
    async with served(gated, kind=kind) as port, talk(port) as ws:
        await ws.start()
        await ws.next()
        ws.connection.transport.abort()
        with anyio.fail_after(1):
            assert await gated.left.get() == "stopped"


async def test_redaction_holds(kind: ServerKind) -> None:
    async def leak(payload: Any) -> Any:
        for piece in ("my s", "ecr", "et is out"):
            yield piece

    policies = {"safety": {"redact_patterns": ["secret"]}}
    async with served(leak, kind=kind, policies=policies) as port, talk(port) as ws:
        await ws.start()
        events = await ws.rest()
    text = "".join(event["content"] for event in events if event["type"] == "token")
    assert text == "my [REDACTED] is out"
    assert events[-1]["output"] == {"content": "my [REDACTED] is out"}


async def test_heartbeats_come_for_each_silent_run(kind: ServerKind) -> None:
    gated = Gated()
    streaming = {"events": {"heartbeat_interval": 1}}
    async with served(gated, kind=kind, streaming=streaming) as port, talk(port) as ws:
        run_id = await ws.start()
        seen = [await ws.next() for _ in range(3)]
    assert seen[-1].keys() == {"type", "run_id", "timestamp"}
    assert (seen[-1]["type"], seen[-1]["run_id"]) == ("heartbeat", run_id)


async def test_each_run_counts_once(kind: ServerKind) -> None:
    apps: list[Any] = []
    async with served(ask, kind=kind, app_is=apps.append) as port, talk(port) as ws:
        run_id = await ws.start()
        for _ in range(3):
            await ws.next()
        await ws.say("answer", run_id=run_id, answer=1)
        await ws.rest(run_id)
        await ws.ask("ping")
        await ws.ask("run", payload={}, run_id="???")
        async with request(apps[0], "GET", "/metrics") as exchange:
            metrics = (await exchange.read()).decode()
    counted = {
        line.split('status="')[1].split('"')[0]: float(line.rsplit(" ", 1)[1])
        for line in metrics.splitlines()
        if line.startswith("dockrion_requests_total{") and 'endpoint="/invoke/ws"' in line
    }
    # The run until its question, and the answer; a message that says nothing of a run is none.
    assert counted == {"202": 2.0}


async def test_where_nothing_is_kept_the_run_ends_with_its_question(kind: ServerKind) -> None:
    async with served(ask, kind=kind, streaming={"async_runs": False}) as port, talk(port) as ws:
        run_id = await ws.start()
        assert types_of([await ws.next() for _ in range(3)])[-1] == "interrupt"
        refused = await ws.ask("answer", run_id=run_id, answer=1)
        followed = await ws.ask("follow", run_id=run_id)
    assert (refused["code"], followed["code"]) == ("NOT_FOUND", "NOT_FOUND")


async def test_cancels_come_through_while_the_agent_says_much(kind: ServerKind) -> None:
    async def flood(payload: Any) -> Any:
        while True:
            yield "x" * 100

    async with served(flood, kind=kind) as port, talk(port) as ws:
        run_id = await ws.start()
        await ws.next()
        await ws.say("cancel", run_id=run_id)
        with anyio.fail_after(10):
            events = await ws.rest(run_id)
    assert events[-1]["type"] == "cancelled"


async def test_the_end_of_the_server_closes_what_is_idle_and_ends_what_runs(
    kind: ServerKind,
) -> None:
    gated = Gated()
    apps: list[Any] = []
    async with (
        served(gated, kind=kind, expose={"shutdown_grace": 1}, app_is=apps.append) as port,
        talk(port) as idle,
        talk(port) as busy,
    ):
        await busy.start()
        await idle.ask("ping")
        draining = asyncio.create_task(apps[0].state.dockrion.drain())
        assert (await idle.closed())[0] == 1001
        late = Talk(busy.connection)
        refused = None
        while refused is None:
            message = await late.ask("run", payload={})
            refused = message if message["type"] == "refused" else None
        events = await busy.rest()
        assert (await busy.closed())[0] == 1001
        await draining
    assert refused["code"] == "SHUTTING_DOWN"
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "SHUTTING_DOWN")


async def test_a_run_is_traced_and_logged_as_what_it_is(
    kind: ServerKind, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[tuple[str, str]] = []

    class Tracer:
        def request(self, scope: Any, headers: Any, route: str) -> None:
            asked.append((scope["method"], route))

    apps: list[Any] = []
    caplog.set_level("INFO", logger="dockrion.runtime.access")
    async with served(count, kind=kind, app_is=apps.append) as port, talk(port) as ws:
        apps[0].state.dockrion.traffic.tracer = Tracer()
        run_id = await ws.start()
        await ws.rest()
        await ws.ask("ping")
        apps[0].state.dockrion.traffic.flush()
    assert asked == [("GET", "/invoke/ws")]
    [line] = [one for one in caplog.records if one.name == "dockrion.runtime.access"]
    said = vars(line)
    assert (said["method"], said["path"], said["status"]) == ("GET", "/invoke/ws", 200)
    assert said["run_id"] == run_id
