"""Traces that cannot be delivered: no run waits for them, and the end of the process hardly does."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dockrion.telemetry.destinations import Destination
from dockrion.telemetry.opening import CLOSING_SECONDS
from dockrion.telemetry.otel.sending import Batching, Sender
from dockrion.testing import app_for, post, request, running
from tests.telemetry.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


class Counting:
    def __init__(self) -> None:
        self.lost = 0

    def lose(self, spans: int) -> None:
        self.lost += spans


def sender_to(url: str, counting: Counting, **batching: Any) -> Sender[bytes]:
    destination = Destination(name="otlp", url=url, headers={}, timeout_seconds=30)
    return Sender(
        destination,
        Batching(**batching),
        pack=b"".join,
        lost=counting.lose,
    )


def nobody_listens() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def answer(payload: Any) -> dict[str, Any]:
    return {"content": "x"}


async def lost_spans(app: Any) -> float:
    async with request(app, "GET", "/metrics") as exchange:
        text = (await exchange.read()).decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "dockrion_lost_spans_total":
                return sample.value
    raise AssertionError(text)


@pytest.mark.parametrize("how", ["refuses", "never answers", "answers 503", "answers 400"])
async def test_runs_go_on_and_the_end_waits_a_moment_at_most(
    how: str, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    url = nobody_listens() if how == "refuses" else collector.url
    if how == "never answers":
        collector.answers.clear()
    if how.startswith("answers"):
        collector.status = int(how.split()[1])
    caplog.set_level(logging.INFO, "dockrion.telemetry")
    app = app_for(answer, observability={"otlp": {"endpoint": url}})
    with anyio.fail_after(30):
        async with running(app) as app:
            for _ in range(3):
                async with post(app, "/invoke", {}) as exchange:
                    assert (await exchange.head()).status == 200
            ended = time.monotonic()
        seconds = time.monotonic() - ended

    assert seconds < CLOSING_SECONDS + 1
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.count("traces were lost") == 1
    problems = [one for one in told if one.startswith("traces cannot be delivered")]
    assert len(problems) == (0 if how == "never answers" else 1)
    [lost] = [record for record in caplog.records if record.getMessage() == "traces were lost"]
    assert lost.__dict__["spans"] == 6


async def test_what_there_is_no_room_for_is_dropped_and_counted(collector: Collector) -> None:
    counting = Counting()
    sender = sender_to(collector.url, counting, most=3, batch=100, seconds=60)
    for _ in range(5):
        sender.put(b"")
    assert counting.lost == 2

    sender.start()
    await sender.close(10)

    assert counting.lost == 2
    assert len(collector.paths) == 1
    sender.put(b"")
    assert counting.lost == 3


async def test_a_full_batch_is_sent_at_once(collector: Collector) -> None:
    sender = sender_to(collector.url, Counting(), batch=4, seconds=3600)
    sender.start()
    for _ in range(4):
        sender.put(b"")
    await anyio.to_thread.run_sync(collector.wait_for_requests, 1)
    await sender.close(10)


async def test_it_is_tried_again_and_said_once(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockrion.telemetry.otel.sending._FIRST_PAUSE_SECONDS", 0.01)
    caplog.set_level(logging.INFO, "dockrion.telemetry")
    counting = Counting()
    collector.status = 503
    sender = sender_to(collector.url, counting, seconds=0.01)
    sender.start()
    sender.put(b"")
    await anyio.to_thread.run_sync(collector.wait_for_requests, 2)
    collector.status = 200
    with anyio.fail_after(10):
        while "traces are delivered again" not in caplog.messages:
            await anyio.sleep(0.005)
    await sender.close(10)

    assert counting.lost == 0
    assert caplog.messages == [
        "traces cannot be delivered; runs go on, and it is tried again",
        "traces are delivered again",
    ]


async def test_what_was_lost_is_a_metric(collector: Collector) -> None:
    collector.status = 400
    app = app_for(answer, observability={"otlp": {"endpoint": collector.url}})
    async with running(app) as app:
        assert await lost_spans(app) == 0
        app.state.dockrion.tracing._exporting._lose(3)  # pyright: ignore[reportPrivateUsage]
        assert await lost_spans(app) == 3
