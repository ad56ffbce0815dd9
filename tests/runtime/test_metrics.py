"""`GET /metrics`, read by the official parser."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dockrion.errors import PolicyViolationError
from dockrion.events.context import StreamContext
from dockrion.telemetry.base import Usage
from dockrion.testing import ScriptedAgent, app_for, post, request, running
from dockrion.version import VERSION

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

NO_RUNS = dict.fromkeys(
    ("ACCEPTED", "RUNNING", "INTERRUPTED", "COMPLETED", "FAILED", "CANCELLED"), 0.0
)


def parse(text: str) -> Samples:
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, "each series comes once"
            samples[key] = sample.value
    return samples


async def scrape(app: Any) -> Samples:
    async with request(app, "GET", "/metrics") as exchange:
        await exchange.head()
        assert exchange.status == 200
        assert exchange.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return parse((await exchange.read()).decode())


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"dockrion_{name}", frozenset(labels.items())))


def by_label(samples: Samples, name: str, label: str) -> dict[str, float]:
    """Return the values that are not 0, by one label."""
    return {
        dict(labels)[label]: number
        for (series, labels), number in samples.items()
        if series == f"dockrion_{name}" and number
    }


def requests(samples: Samples) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for (series, labels), number in samples.items():
        if series == "dockrion_requests_total":
            given = dict(labels)
            assert (given["agent"], given["version"]) == ("test", VERSION)
            found[given["endpoint"], given["status"]] = number
    return found


async def call(app: Any, path: str, body: Any, **headers: str) -> int:
    async with post(app, path, body, headers=headers) as exchange:
        await exchange.head()
        await exchange.read()
        return exchange.status


async def speak(payload: Any) -> AsyncGenerator[Any]:
    if payload.get("fails"):
        raise ValueError("as told")
    yield "The"
    yield {"type": "progress", "step": "s", "progress": 0.5}
    yield {"type": "custom:note", "data": 1}
    yield " answer"


async def test_each_invocation_counts_once_by_endpoint_and_status() -> None:
    async with running(app_for(speak)) as app:
        await call(app, "/invoke", {})
        await call(app, "/invoke/stream", {})
        await call(app, "/invoke/stream", {})
        await call(app, "/invoke", {"fails": True})
        await call(app, "/invoke/stream", {"fails": True})
        await call(app, "/invoke", b"{")
        await call(app, "/invoke", b"a=b", **{"content-type": "application/x-www-form-urlencoded"})
        samples = await scrape(app)

    assert requests(samples) == {
        ("/invoke", "200"): 1,
        ("/invoke/stream", "200"): 2,
        ("/invoke", "500"): 1,
        # The answer was a 200; what counts is how it ended.
        ("/invoke/stream", "500"): 1,
        ("/invoke", "400"): 1,
        ("/invoke", "415"): 1,
    }
    labels = {"agent": "test", "version": VERSION}
    assert value(samples, "request_latency_seconds_count", endpoint="/invoke", **labels) == 4
    assert value(samples, "request_latency_seconds_count", endpoint="/invoke/stream", **labels) == 3
    assert value(samples, "active_requests") == 0


async def test_probes_pages_and_other_methods_do_not_count() -> None:
    async with running(app_for(speak)) as app:
        for path in ("/", "/health", "/ready", "/schema", "/info", "/metrics", "/nothing"):
            async with request(app, "GET", path) as exchange:
                await exchange.read()
        for path in ("/invoke", "/invoke/stream"):
            async with request(app, "GET", path) as exchange:
                await exchange.head()
                assert exchange.status == 405
            assert await call(app, f"{path}/", {}) == 307
        samples = await scrape(app)

    assert requests(samples) == {}
    assert value(samples, "active_requests") == 0


async def test_events_and_tokens_count_by_what_the_run_log_numbers() -> None:
    async with running(app_for(speak)) as app:
        await call(app, "/invoke/stream", {})
        streamed = await scrape(app)
        await call(app, "/invoke", {})
        both = await scrape(app)

    assert by_label(streamed, "events_total", "type") == {
        "started": 1,
        "token": 2,
        "progress": 1,
        "custom": 1,
        "complete": 1,
    }
    assert by_label(streamed, "tokens_total", "kind") == {"emitted": 2}
    # Nobody reads events of an /invoke; its tokens make the output all the same.
    assert by_label(both, "events_total", "type")["token"] == 2
    assert by_label(both, "tokens_total", "kind") == {"emitted": 4}


async def test_tokens_that_the_filter_holds_back_are_tokens_but_no_events() -> None:
    app = app_for(speak, streaming={"events": {"allowed": "minimal"}})
    async with running(app):
        await call(app, "/invoke/stream", {})
        samples = await scrape(app)

    assert by_label(samples, "events_total", "type") == {"started": 1, "complete": 1}
    assert by_label(samples, "tokens_total", "kind") == {"emitted": 2}
    assert value(samples, "time_to_first_token_seconds_count") == 0


async def test_the_first_token_of_each_stream_is_timed_once() -> None:
    async with running(app_for(speak)) as app:
        await call(app, "/invoke/stream", {})
        await call(app, "/invoke/stream", {"fails": True})
        await call(app, "/invoke", {})
        samples = await scrape(app)

    assert value(samples, "time_to_first_token_seconds_count") == 1


async def test_what_is_open_now_is_in_the_gauges_until_it_ends() -> None:
    gate = asyncio.Event()
    app = app_for(ScriptedAgent(["a", gate]))
    with anyio.fail_after(5):
        async with running(app), post(app, "/invoke/stream", {}) as exchange:
            await exchange.receive()
            during = await scrape(app)
            gate.set()
            await exchange.read()
            await exchange.ended.wait()
            after = await scrape(app)

    assert value(during, "active_requests") == value(during, "active_streams") == 1
    assert by_label(during, "runs", "status") == {"RUNNING": 1}
    assert value(after, "active_requests") == value(after, "active_streams") == 0
    assert by_label(after, "runs", "status") == {"COMPLETED": 1}


async def test_runs_have_the_status_that_they_ended_with() -> None:
    app = app_for(ScriptedAgent(["a", asyncio.Event()]))
    with anyio.fail_after(5):
        async with running(app):
            async with post(app, "/invoke/stream", {}) as exchange:
                await exchange.receive()
            samples = await scrape(app)

    assert by_label(samples, "runs", "status") == {"CANCELLED": 1}
    assert requests(samples) == {("/invoke/stream", "499"): 1}


async def test_all_statuses_of_runs_are_there_from_the_start() -> None:
    async with running(app_for(speak)) as app:
        samples = await scrape(app)

    runs = {dict(labels)["status"]: n for (name, labels), n in samples.items() if "_runs" in name}
    assert runs == NO_RUNS


async def test_runs_without_a_thread_queue() -> None:
    go_on = threading.Event()

    def wait(payload: Any) -> Any:
        go_on.wait(5)
        return {}

    app = app_for(wait, expose={"limits": {"threads": 1}})
    with anyio.fail_after(5):
        async with running(app), post(app, "/invoke", {}) as one, post(app, "/invoke", {}) as two:
            while value(await scrape(app), "active_requests") != 2:
                await asyncio.sleep(0)
            waiting = await scrape(app)
            go_on.set()
            await one.head()
            await two.head()
            after = await scrape(app)

    assert value(waiting, "queue_depth") == 1
    assert by_label(waiting, "runs", "status") == {"ACCEPTED": 1, "RUNNING": 1}
    assert value(after, "queue_depth") == 0


async def test_a_thread_that_outlives_its_run_is_abandoned_until_it_ends() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(payload: Any) -> Any:
        begun.set()
        go_on.wait(5)
        return {}

    app = app_for(wait)
    with anyio.fail_after(5):
        async with running(app):
            async with post(app, "/invoke", {}):
                while not begun.is_set():
                    await asyncio.sleep(0.001)
                working = await scrape(app)
            left = await scrape(app)
            go_on.set()
            while value(await scrape(app), "abandoned_threads"):
                await asyncio.sleep(0.001)

    assert value(working, "abandoned_threads") == 0
    assert value(left, "abandoned_threads") == 1


async def test_a_thread_that_an_async_agent_no_longer_waits_for_is_abandoned() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        go_on.wait(5)

    async def wait(payload: Any) -> Any:
        await asyncio.to_thread(block)

    app = app_for(wait)
    with anyio.fail_after(5):
        async with running(app):
            async with post(app, "/invoke", {}):
                while not begun.is_set():
                    await asyncio.sleep(0.001)
            while not value(await scrape(app), "abandoned_threads"):
                await asyncio.sleep(0.001)
            go_on.set()
            while value(await scrape(app), "abandoned_threads"):
                await asyncio.sleep(0.001)


async def test_violations_count_by_rule() -> None:
    async def agent(payload: Any) -> AsyncGenerator[Any]:
        yield {"type": "policy", "rule": "tools", "message": "no"}
        raise PolicyViolationError("enough")

    async with running(app_for(agent)) as app:
        await call(app, "/invoke/stream", {})
        samples = await scrape(app)

    assert by_label(samples, "policy_violations_total", "rule") == {"tools": 1, "agent": 1}


async def test_agents_cannot_make_series_without_bound() -> None:
    async def agent(payload: Any) -> AsyncGenerator[Any]:
        for number in range(500):
            yield {"type": "policy", "rule": f"rule-{number}", "message": "no"}
            yield {"type": f"custom:name_{number}", "data": None}

    async with running(app_for(agent)) as app:
        await call(app, "/invoke/stream", {})
        samples = await scrape(app)

    rules = by_label(samples, "policy_violations_total", "rule")
    assert len(rules) == 101
    assert sum(rules.values()) == 500
    assert by_label(samples, "events_total", "type")["custom"] == 500


async def test_heartbeats_count_where_they_are_events() -> None:
    async def agent(payload: Any, context: StreamContext) -> AsyncGenerator[Any]:
        yield "a"
        await context.emit_heartbeat()
        await beat.wait()

    beat = asyncio.Event()
    app = app_for(agent)
    with anyio.fail_after(5):
        async with running(app), post(app, "/invoke/stream", {}) as exchange:
            received = b""
            while b"event: heartbeat" not in received:
                received += await exchange.receive()
            samples = await scrape(app)
            beat.set()
            await exchange.read()

    assert by_label(samples, "events_total", "type")["heartbeat"] == 1


async def test_families_can_be_switched_off() -> None:
    off = {"metrics": {"latency": False, "tokens": False, "cost": False}}
    async with running(app_for(speak, observability=off)) as app:
        await call(app, "/invoke/stream", {})
        samples = await scrape(app)

    names = {name for name, _ in samples}
    assert not {n for n in names if n.startswith(("dockrion_request_latency", "dockrion_tokens"))}
    assert {"dockrion_requests_total", "dockrion_time_to_first_token_seconds_count"} <= names


WORKER = """
import asyncio, os, sys
from dockrion.testing import app_for, post, request, running

async def speak(payload):
    yield "one"

async def main():
    app = app_for(speak)
    async with running(app):
        for _ in range(int(sys.argv[1])):
            async with post(app, "/invoke/stream", {}) as exchange:
                await exchange.read()
        if sys.argv[2] == "dies":
            async with post(app, "/invoke/stream", {}) as exchange:
                while b'"one"' not in await exchange.receive():
                    pass
                app.state.dockrion.traffic.flush()
                os._exit(0)
        async with request(app, "GET", "/metrics") as exchange:
            print((await exchange.read()).decode())

asyncio.run(main())
"""


def test_workers_that_share_a_folder_answer_for_all(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"

    def worker(calls: int, end: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", WORKER, str(calls), end],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    worker(2, "dies")
    samples = parse(worker(3, "answers"))

    assert requests(samples) == {("/invoke/stream", "200"): 5}
    assert by_label(samples, "tokens_total", "kind")["emitted"] == 6
    assert value(samples, "time_to_first_token_seconds_count") == 6
    # What the dead one was doing ended with it.
    assert value(samples, "active_streams") == 0
    assert by_label(samples, "runs", "status") == {"COMPLETED": 3}


async def test_what_models_report_is_counted_by_kind_and_cost() -> None:
    async def tell(payload: Any, context: StreamContext) -> dict[str, Any]:
        usage = Usage(input=100, output=20, cache_read=40, cache_write=10, reasoning=5, cost=0.25)
        context.used(usage)
        # From a thread, as models in sync nodes do.
        await asyncio.to_thread(context.used, usage)
        return {}

    async with running(app_for(tell)) as app:
        await call(app, "/invoke", {})
        samples = await scrape(app)

    assert by_label(samples, "tokens_total", "kind") == {
        "input": 200,
        "output": 40,
        "cache_read": 80,
        "cache_write": 20,
        "reasoning": 10,
    }
    assert value(samples, "cost_total") == 0.5


FAMILIES = {
    "dockrion_requests",
    "dockrion_request_latency_seconds",
    "dockrion_active_requests",
    "dockrion_active_streams",
    "dockrion_time_to_first_token_seconds",
    "dockrion_events",
    "dockrion_tokens",
    "dockrion_cost",
    "dockrion_policy_violations",
    "dockrion_runs",
    "dockrion_queue_depth",
    "dockrion_abandoned_threads",
    "dockrion_loop_blocks",
    "dockrion_lost_spans",
}


@pytest.mark.parametrize("dropped", [None, "latency", "tokens", "cost"])
async def test_every_family_is_there_but_those_that_the_dockfile_drops(dropped: str | None) -> None:
    switches = {} if dropped is None else {dropped: False}
    async with running(app_for(speak, observability={"metrics": switches})) as app:
        await call(app, "/invoke/stream", {})
        async with request(app, "GET", "/metrics") as exchange:
            text = (await exchange.read()).decode()

    named = {"latency": "dockrion_request_latency_seconds"}.get(
        dropped or "", f"dockrion_{dropped}"
    )
    families = {family.name for family in text_string_to_metric_families(text)}
    assert families == FAMILIES - {named}
