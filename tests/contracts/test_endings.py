"""Runs that end before they are done, and those that cannot begin: each front end says so, and none is silent."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from dockrion.testing import request as request_of
from dockrion.testing import running
from tests.contracts.front_ends.agents import A2a
from tests.contracts.front_ends.base import KEPT, SECONDS, Answer, FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.contracts.front_ends.openai import Responses
from tests.contracts.front_ends.own import Socket


class Waits:
    """Says one word, and waits for ever."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()

    async def __call__(self, payload: Any) -> Any:
        yield "a"
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


def _stop(front: FrontEnd, run_id: str) -> tuple[str, str, Any]:
    """Return how a protocol itself ends a run."""
    if isinstance(front, Responses):
        return "POST", f"/v1/responses/resp_{run_id}/cancel", b""
    method = "tasks/cancel" if front.name == "a2a 0.3" else "CancelTask"
    return (
        "POST",
        front.path,
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": run_id}},
    )


async def _cancelled(front: FrontEnd, how: Any) -> Answer:
    agent = Waits()
    with anyio.fail_after(SECONDS):
        async with running(served(agent, streaming=KEPT)) as app:
            async with front.open(app, front.ask("hi").by(x_run_id="r1")) as exchange:
                await agent.begun.wait()
                run_id = "r1"
                if isinstance(front, Socket):
                    await exchange.head()
                    run_id = exchange.headers["x-run-id"]
                method, path, body = how(front, run_id)
                async with request_of(app, method, path, body=body) as stopping:
                    said = await stopping.read()
                assert stopping.status == 200, said
                raw = await exchange.read()
            await agent.stopped.wait()
    return front.read(exchange, raw)


@each(lambda front: front.streams)
async def test_a_cancel_is_told(front: FrontEnd) -> None:
    answer = await _cancelled(front, lambda _, run_id: ("DELETE", f"/runs/{run_id}", b""))
    assert answer.heard.ended in ("cancelled", "error")
    assert answer.heard.code in (None, "CONFLICT", "CANCELLED")
    assert "cancelled" in answer.raw.decode().lower()


@each(lambda front: front.streams and isinstance(front, A2a | Responses))
async def test_a_cancel_of_the_protocol_is_told(front: FrontEnd) -> None:
    answer = await _cancelled(front, _stop)
    assert answer.heard.ended == "cancelled"


@each()
async def test_past_the_deadline_it_is_a_timeout(front: FrontEnd) -> None:
    agent = Waits()
    with anyio.fail_after(SECONDS):
        async with running(served(agent, arguments={"timeout_sec": 0.05})) as app:
            answer = await front.tell(app, "hi")
            await agent.stopped.wait()
    assert (answer.heard.ended, answer.heard.code) in (("error", "TIMEOUT"), ("refused", "TIMEOUT"))
    assert answer.heard.message


@each()
async def test_past_the_queue_it_is_503_and_says_when(front: FrontEnd) -> None:
    agent = Waits()
    limits = {"max_concurrency": 1, "max_queue": 1}
    # Tasks of A2A go on when their callers have left.
    expose = {"limits": limits, "shutdown_grace": 0.05}
    with anyio.fail_after(SECONDS):
        async with running(served(agent, expose=expose)) as app:
            first, second = front.open(app, front.ask("1")), front.open(app, front.ask("2"))
            async with first, second:
                await agent.begun.wait()
                # The first runs. Of the other two one waits, and one cannot.
                async with front.open(app, front.ask("3")) as third:
                    raw = await third.read()
    answer = front.read(third, raw)
    assert (answer.heard.ended, answer.heard.code) == ("refused", "OVERLOADED")
    assert answer.status == 503
    if not isinstance(front, Socket):
        assert int(answer.headers["retry-after"]) > 0


@each()
@pytest.mark.parametrize("streaming", [{}, KEPT], ids=["alone", "kept"])
async def test_a_shutdown_is_no_silent_end(front: FrontEnd, streaming: Any) -> None:
    agent = Waits()
    app = served(agent, expose={"shutdown_grace": 0.05}, streaming=streaming)
    with anyio.fail_after(SECONDS):
        async with running(app), front.open(app, front.ask("hi")) as exchange:
            await agent.begun.wait()
            draining = asyncio.ensure_future(app.state.dockrion.drain())
            raw = await exchange.read()
            late = await front.tell(app, "hi")
            await draining
    answer = front.read(exchange, raw)
    assert answer.heard.code == "SHUTTING_DOWN", answer.raw
    assert answer.heard.ended in ("error", "refused")
    if isinstance(front, Socket):
        assert late.headers["close"] == "1001"
    else:
        assert late.heard.code in ("SHUTTING_DOWN", "SERVICE_UNAVAILABLE")
        assert late.status == 503
