"""Each invocation is counted, logged and traced once, whichever front end it came through; and many at once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest

from dockrion.events.context import StreamContext
from dockrion.testing import ScriptedAgent, running
from tests.contracts.front_ends.base import FrontEnd, served
from tests.contracts.front_ends.every import each
from tests.runtime.test_metrics import scrape, value
from tests.telemetry.collector import collecting, tree


@each()
async def test_an_invocation_counts_once(front: FrontEnd, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(served(ScriptedAgent(["a", "b"]))) as app:
        answer = await front.tell(app, "hi")
        samples = await scrape(app)
    assert {
        (dict(labels)["endpoint"], dict(labels)["status"]): number
        for (name, labels), number in samples.items()
        if name == "dockrion_requests_total"
    } == {(front.path, "200"): 1}
    assert value(samples, "active_requests") == 0
    assert value(samples, "active_streams") == 0
    if front.streams:
        assert value(samples, "events_total", type="token") == 2
        assert value(samples, "events_total", type="complete") == 1
    [line] = [one for one in caplog.records if one.name == "dockrion.runtime.access"]
    assert line.__dict__["run_id"] == answer.run_id


@each()
async def test_a_call_that_is_refused_counts_once(
    front: FrontEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "g" * 20)
    async with running(served(ScriptedAgent(["a"]), auth={"mode": "api_key"})) as app:
        await front.tell(app, "hi")
        samples = await scrape(app)
    assert {
        (dict(labels)["endpoint"], dict(labels)["status"]): number
        for (name, labels), number in samples.items()
        if name == "dockrion_requests_total"
    } == {(front.path, "401"): 1}
    assert value(samples, "active_requests") == 0


@each()
async def test_an_invocation_is_one_trace(front: FrontEnd) -> None:
    with collecting() as collector:
        otlp = {"endpoint": collector.url}
        app = served(ScriptedAgent(["a"]), observability={"otlp": otlp})
        async with running(app):
            await front.tell(app, "hi")
        [[root, below]] = tree(collector.spans)
    assert root.endswith(f" {front.path}")
    assert below == [["invoke_agent test"]]


@each()
async def test_two_hundred_at_once_hear_each_their_own(front: FrontEnd) -> None:
    async def echo(payload: Any, context: StreamContext) -> Any:
        for word in payload["query"].split():
            yield f"{word} "
            await asyncio.sleep(0)

    with anyio.fail_after(60):
        async with running(served(echo)) as app:
            asked = [f"caller {number} asks" for number in range(200)]
            answers = await asyncio.gather(*(front.tell(app, text) for text in asked))
            samples = await scrape(app)
    assert [answer.heard.text for answer in answers] == [f"{text} " for text in asked]
    assert len({answer.run_id for answer in answers}) == 200
    assert value(samples, "active_requests") == 0
    assert value(samples, "active_streams") == 0
