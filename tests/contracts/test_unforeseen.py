"""What nobody expects is an error of its front end, says nothing of itself, is logged and counted once, and leaves no run."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.testing import ScriptedAgent, read_sse, request, running
from dockrion.wires.native import NativeWire
from tests.contracts.front_ends.agents import A2a, LegacyA2a, WholeA2a
from tests.contracts.front_ends.base import KEPT, Answer, FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.contracts.front_ends.own import Native, Socket, Whole
from tests.contracts.sockets import socket
from tests.runtime.test_metrics import scrape, value

SAYS = "quarrelsome: /srv/agents/secret.py"
SENTENCE = re.compile(r"Internal error\. error_id: ([0-9a-f]{12})")


class OddError(Exception):
    """As a package of somebody else raises it."""


def raises(*_: Any, **__: Any) -> Any:
    raise OddError(SAYS)


def on_call(number: int, real: Callable[[Any], Awaitable[Any]], raised: Exception) -> Any:
    """Return a method that does its work until that call of it."""
    calls = 0

    async def once(self: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise raised
        return await real(self)

    return once


def tells_nothing(answer: Answer) -> str:
    """Check what is said of an exception; return the id that the log has it under."""
    assert answer.heard.code == "INTERNAL_ERROR"
    found = SENTENCE.fullmatch(answer.heard.message)
    assert found, answer.heard.message
    for part in (SAYS, "quarrelsome", "OddError", "secret.py"):
        assert part not in answer.everything
    return found[1]


def is_logged_once(caplog: pytest.LogCaptureFixture, error_id: str) -> Any:
    [record] = [one for one in caplog.records if one.exc_info is not None]
    assert isinstance(record.exc_info[1], Exception) if record.exc_info else False
    assert (record.name, record.getMessage()) == ("dockrion.runtime.unforeseen", "request failed")
    assert record.__dict__["error_id"] == error_id
    return record.__dict__


async def counted(app: Any, front: FrontEnd) -> None:
    samples = await scrape(app)
    requests = {
        (dict(labels)["endpoint"], dict(labels)["status"]): number
        for (name, labels), number in samples.items()
        if name == "dockrion_requests_total"
    }
    assert requests == {(front.path, "500"): 1}
    assert value(samples, "active_requests") == 0
    assert value(samples, "active_streams") == 0
    assert app.state.dockrion.runner.active == 0


@each()
@pytest.mark.parametrize("reveals", [True, False])
async def test_before_anything_is_sent_it_is_an_error_with_its_status(
    front: FrontEnd,
    reveals: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("dockrion.runtime.endpoints.invoke.check_payload", raises)
    agent = ScriptedAgent(["a"])
    async with running(served(agent, expose={"error_details": reveals})) as app:
        answer = await front.tell(app, front.ask("hi").by(x_request_id="asked-for"))
        await counted(app, front)
    assert answer.heard.ended == "refused"
    # JSON-RPC of A2A says it in the body.
    assert answer.status == (200 if isinstance(front, A2a | WholeA2a | LegacyA2a) else 500)
    error_id = tells_nothing(answer)
    record = is_logged_once(caplog, error_id)
    [line] = [one for one in caplog.records if one.name == "dockrion.runtime.access"]
    assert (line.__dict__["status"], line.__dict__["code"]) == (500, "INTERNAL_ERROR")
    if not isinstance(front, Socket):
        assert answer.headers["x-request-id"] == record["request_id"] == "asked-for"
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert line.__dict__["request_id"] == record["request_id"]
    assert not agent.payloads


@each()
async def test_where_nobody_knows_yet_who_calls_it_is_counted_too(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "g" * 20)

    async def odd(*_: Any) -> Any:
        raise OddError(SAYS)

    agent = ScriptedAgent(["a"])
    async with running(served(agent, auth={"mode": "api_key"})) as app:
        monkeypatch.setattr(type(app.state.dockrion.gate), "identify", odd)
        answer = await front.tell(app, front.ask("hi").by(x_api_key="g" * 20))
        await counted(app, front)
    assert answer.heard.ended == "refused"
    is_logged_once(caplog, tells_nothing(answer))
    assert not agent.payloads


@each(lambda front: front.streams)
@pytest.mark.parametrize("raised", [OddError(SAYS), OSError(SAYS)], ids=["error", "oserror"])
@pytest.mark.parametrize("kept", [False, True], ids=["unkept", "kept"])
async def test_in_the_middle_of_a_stream_it_is_the_closing_event(
    front: FrontEnd,
    kept: bool,
    raised: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Tasks of A2A are kept in any case.
    kept = kept or isinstance(front, A2a | LegacyA2a)
    source = Reader if kept else Run
    monkeypatch.setattr(source, "next", on_call(2, source.next, raised))
    more = asyncio.Event()
    app = served(ScriptedAgent(["a", more]), streaming=KEPT if kept else {})
    with anyio.fail_after(10):
        async with running(app):
            answer = await front.tell(app, "hi")
            if kept:
                # The run goes on without this reader.
                assert app.state.dockrion.runner.active == 1
                more.set()
            else:
                await counted(app, front)
    assert (answer.status, answer.heard.ended) == (200, "error")
    record = is_logged_once(caplog, tells_nothing(answer))
    assert record["run_id"] == answer.run_id
    if isinstance(front, Native):
        numbers = [event["sequence"] for event in _events(answer)]
        assert numbers == list(range(len(numbers)))


def _events(answer: Answer) -> list[Any]:
    if answer.raw.startswith(b"["):
        import json

        return [one for one in json.loads(answer.raw) if "sequence" in one]
    return [event.json() for event in read_sse(answer.raw)]


@each(lambda front: not front.streams)
async def test_while_a_caller_waits_it_is_an_error_that_names_the_run(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for source in (Run, Reader):
        monkeypatch.setattr(source, "next", on_call(1, source.next, OddError(SAYS)))
    app = served(ScriptedAgent(["a", asyncio.Event()]), streaming={"async_runs": False})
    with anyio.fail_after(10):
        async with running(app):
            answer = await front.tell(app, "hi")
            await counted(app, front)
    assert answer.heard.ended == "refused"
    record = is_logged_once(caplog, tells_nothing(answer))
    assert record["run_id"] == answer.run_id


async def test_a_run_that_broke_off_has_failed_and_its_agent_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped = asyncio.Event()

    async def agent(payload: Any) -> Any:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            stopped.set()

    # After `started`, and the token.
    monkeypatch.setattr(Run, "next", on_call(3, Run.next, OddError(SAYS)))
    with anyio.fail_after(10):
        async with running(served(agent)) as app:
            await Native().tell(app, "hi")
            await stopped.wait()
            samples = await scrape(app)
    assert value(samples, "runs", status="FAILED") == 1


async def test_where_the_last_word_cannot_be_said_the_stream_is_cut_not_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Run, "next", on_call(2, Run.next, OddError(SAYS)))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        if sent and sent[-1].get("body"):
            raise RuntimeError("nothing more goes out")
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b'{"query": "hi"}'}

    scope = {"type": "http", "method": "POST", "path": "/invoke/stream"}
    async with running(served(ScriptedAgent(["a", asyncio.Event()]))) as app:
        with pytest.raises(RuntimeError, match="nothing more"):
            await app({**scope, "headers": [], "query_string": b""}, receive, send)
        assert app.state.dockrion.runner.active == 0
    assert [message.get("more_body") for message in sent[1:]] == [True]


@pytest.mark.parametrize("raised", [OddError(SAYS), FileNotFoundError(SAYS)])
@pytest.mark.parametrize(
    ("method", "path", "calls"),
    [
        ("POST", "/runs", "create"),
        ("GET", "/runs", "list"),
        ("GET", "/runs/a", "get"),
        ("DELETE", "/runs/a", "get"),
        ("POST", "/runs/a/resume", "get"),
        ("GET", "/runs/a/events", "get"),
        ("GET", "/v1/responses/resp_a", "get"),
        ("GET", "/ai-sdk/a/stream", "newest_in"),
    ],
)
async def test_whatever_a_store_raises_is_an_error_on_every_path_of_runs(
    method: str,
    path: str,
    calls: str,
    raised: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def odd(*_: Any, **__: Any) -> Any:
        raise raised

    async with running(served(ScriptedAgent(["a"]))) as app:
        monkeypatch.setattr(app.state.dockrion.runs.store, calls, odd)
        body = {"query": "hi"} if method == "POST" else b""
        async with request(app, method, path, body=body) as exchange:
            raw = await exchange.read()
    assert exchange.status == 500
    assert b"INTERNAL_ERROR" in raw or b"internal_error" in raw
    assert b"quarrelsome" not in raw
    assert exchange.headers["x-request-id"]
    assert exchange.headers["cache-control"] == "no-store"
    assert len([one for one in caplog.records if one.exc_info]) == 1


async def test_a_subscription_that_breaks_has_a_last_word_without_an_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = asyncio.Event()
    app = served(ScriptedAgent(["a", more]))
    with anyio.fail_after(10):
        async with running(app):
            async with request(app, "POST", "/runs", body={"query": "hi"}) as exchange:
                run_id = (await exchange.json())["run_id"]
            monkeypatch.setattr(Reader, "next", on_call(2, Reader.next, OddError(SAYS)))
            async with request(app, "GET", f"/runs/{run_id}/events") as exchange:
                raw = await exchange.read()
            assert app.state.dockrion.runner.active == 1
            more.set()
    *_, before, last = read_sse(raw)
    assert (last.event, last.json()["code"]) == ("error", "INTERNAL_ERROR")
    # Who comes back misses nothing of the run.
    assert last.id in ("", None, before.id)
    assert b"quarrelsome" not in raw


@pytest.mark.parametrize(
    "path", ["/invoke", "/invoke/stream", "/v1/chat/completions", "/mcp", "/info"]
)
async def test_middleware_of_the_user_that_raises_is_answered_too(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Odd:
        def __init__(self, app: Any) -> None:
            self._app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                raises()
            await self._app(scope, receive, send)

    app = served(ScriptedAgent(["a"]))
    app.add_middleware(Odd)
    async with running(app), request(app, "POST", path, body={}) as exchange:
        body = await exchange.json()
    assert exchange.status == 500
    message = body["error"] if isinstance(body["error"], str) else body["error"]["message"]
    assert SENTENCE.fullmatch(message)
    assert len([one for one in caplog.records if one.exc_info]) == 1


async def test_pages_and_probes_answer_in_json_too(caplog: pytest.LogCaptureFixture) -> None:
    app = served(ScriptedAgent(["a"]))
    app.add_api_route("/own", lambda: raises())
    async with running(app), request(app, "GET", "/own") as exchange:
        body = await exchange.json()
    assert exchange.status == 500
    assert body["code"] == "INTERNAL_ERROR"
    assert SENTENCE.fullmatch(body["error"])
    assert exchange.headers["x-request-id"]
    assert len([one for one in caplog.records if one.exc_info]) == 1


async def test_what_cannot_be_written_in_the_agents_step_is_no_error_of_the_agent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encode = NativeWire.encode

    def picky(self: NativeWire, batch: Any) -> bytes:
        if any(getattr(event, "content", None) == "bad" for event in batch.events):
            raise OddError(SAYS)
        return encode(self, batch)

    monkeypatch.setattr(NativeWire, "encode", picky)
    go_on = asyncio.Event()

    async def agent(payload: Any) -> Any:
        yield "a"
        await go_on.wait()
        yield "bad"
        await asyncio.Event().wait()

    sent: list[bytes] = []

    class RequestResponseCycle:
        """Named as that of uvicorn, which is written to in the agent's step."""

        async def send(self, message: Any) -> None:
            sent.append(message.get("body", b""))
            if b"token" in sent[-1]:
                go_on.set()

        async def receive(self) -> Any:
            if not sent:
                return {"type": "http.request", "body": b'{"query": "hi"}'}
            return await asyncio.Event().wait()

    cycle = RequestResponseCycle()
    scope = {"type": "http", "method": "POST", "path": "/invoke/stream"}
    with anyio.fail_after(10):
        async with running(served(agent)) as app:
            await app({**scope, "headers": [], "query_string": b""}, cycle.receive, cycle.send)
    events = [event.json() for event in read_sse(b"".join(sent))]
    assert [event["type"] for event in events] == ["started", "token", "error"]
    assert [event["sequence"] for event in events] == [0, 1, 2]
    assert events[-1]["code"] == "INTERNAL_ERROR"


async def test_one_message_of_a_socket_that_breaks_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def odd(*_: Any) -> Any:
        raise OSError(SAYS)

    more = asyncio.Event()
    async with running(served(ScriptedAgent(["a", more]))) as app:
        store = app.state.dockrion.runs.store
        async with socket(app, "/invoke/ws", Socket().body("hi"), {}) as exchange:
            assert b"accepted" in await exchange.receive()
            monkeypatch.setattr(store, "get", odd)
            exchange.say({"type": "cancel", "id": "c", "run_id": "a"})
            while b'"refused"' not in (said := await exchange.receive()):
                pass
            # What looks like the end of an answer is none of the connection.
            assert await exchange.receive() == b""
            exchange.ended.clear()
            monkeypatch.undo()
            more.set()
            rest = await exchange.read()
    assert b'"id":"c"' in said
    assert b"INTERNAL_ERROR" in said
    assert b"quarrelsome" not in said
    assert b'"complete"' in rest


async def test_a_bug_at_the_whole_answer_of_invoke_leaves_no_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dockrion.runtime.endpoints.invoke.send_json", raises)
    async with running(served(ScriptedAgent(["a"]))) as app:
        answer = await Whole().tell(app, "hi")
        await counted(app, Whole())
    assert answer.status == 500
    tells_nothing(answer)
