"""Traces of a run that one process accepts and another one executes, as a collector receives them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from tests.telemetry.collector import Received, collecting, one, tree

from .server import DOCKRION_RUN, Server, agent_source

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
ANSWER_TRACE = "c" * 32
ANSWERING = {"traceparent": f"00-{ANSWER_TRACE}-b7ad6b7169203331-01"}
PAYLOAD: dict[str, Any] = {"asks": False, "messages": [["user", "is 7 paid?"]]}


# Four processes load LangGraph, one after the other.
pytestmark = pytest.mark.timeout(400)


class Seen(NamedTuple):
    """What a collector received of two runs, `plain` and `asking`, of which the second had to be answered."""

    spans: list[Received]
    plain: dict[str, Any]
    worker_log: str

    def of(self, run_id: str) -> list[Received]:
        return [span for span in self.spans if span.attributes["dockrion.run.id"] == run_id]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Have a server that executes nothing, and two workers, one after the other, which end in order."""
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        sections: dict[str, Any] = {
            "agent": {"name": "invoices", "framework": "langgraph", "entrypoint": "service:build"},
            "streaming": {"backend": "sqlite", "sqlite": {"path": "runs.db"}, "worker": False},
            "observability": {"otlp": {"endpoint": collector.url}},
        }
        server = Server(folder, agent_source("traced"), handler="build", sections=sections)
        try:
            with working(folder) as log:
                accept(server, "plain")
                accept(server, "asking", asks=True)
                plain = run_to(server, "plain", "COMPLETED", "FAILED")
                run_to(server, "asking", "INTERRUPTED")
            worker_log = log.read_text()
            url = f"{server.url}/runs/asking/resume"
            answer = httpx.post(url, json="yes", headers=ANSWERING)
            assert answer.status_code == 202, answer.text
            # This one has not seen the first part.
            with working(folder):
                run_to(server, "asking", "COMPLETED")
            server.signal(signal.SIGTERM)
            assert server.wait() == 0, server.log
            # What a process has is sent when it ends, at the latest.
            yield Seen(list(collector.spans), plain, worker_log)
        finally:
            server.kill()


@contextmanager
def working(folder: Path) -> Generator[Path]:
    """Have a worker at work on the runs of the folder's Dockfile; yield its log."""
    log = folder / "worker.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [DOCKRION_RUN[0], "worker", "Dockfile.yaml"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    try:
        yield log
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_to(server: Server, run_id: str, *statuses: str) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        record = server.get(f"/runs/{run_id}")[1]
        if record["status"] in statuses:
            return record
        time.sleep(0.05)
    raise AssertionError(f"{run_id} is not {statuses}\n{server.log}")


def accept(server: Server, run_id: str, **changes: Any) -> None:
    headers = {**CALLER, "X-Run-ID": run_id}
    answer = httpx.post(f"{server.url}/runs", json={**PAYLOAD, **changes}, headers=headers)
    assert answer.status_code == 202, answer.text


def instances(*spans: Received) -> set[str]:
    return {span.resource["service.instance.id"] for span in spans}


def test_a_graph_in_a_worker_is_one_tree_below_the_request(seen: Seen) -> None:
    order = ["think", "tools", "answer", "confirm"]
    spans = seen.of("plain")
    spans.sort(key=lambda span: next((order.index(n) for n in order if n in span.name), 9))

    assert seen.plain["status"] == "COMPLETED", seen.plain
    assert tree(spans) == [
        [
            "POST /runs",
            [
                [
                    "invoke_agent invoices",
                    [
                        ["node think", [["chat fable-1"]]],
                        ["node tools", [["execute_tool look_up"]]],
                        ["node answer", [["chat fable-1"]]],
                        ["node confirm"],
                    ],
                ]
            ],
        ]
    ]
    assert {span.trace_id for span in spans} == {TRACE}
    request, run = one(spans, "POST /runs"), one(spans, "invoke_agent invoices")
    assert instances(run, one(spans, "execute_tool look_up")).isdisjoint(instances(request))


def test_what_a_tool_calls_is_told_that_it_is_below_the_tool(seen: Seen) -> None:
    [answered] = [each for each in seen.plain["output"]["messages"] if each["type"] == "tool"]
    tool = one(seen.of("plain"), "execute_tool look_up")
    assert answered["content"] == f"00-{TRACE}-{tool.span_id}-01"


def test_log_lines_of_the_worker_have_the_trace_of_the_request(seen: Seen) -> None:
    lines = [json.loads(line) for line in seen.worker_log.splitlines() if line.startswith("{")]
    told = {line["event"]: line["trace_id"] for line in lines if line["run_id"] == "plain"}
    assert told == {"looked up": TRACE}


def test_the_spans_of_models_and_tools_have_what_the_conventions_ask_for(seen: Seen) -> None:
    used = {
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_write.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "gen_ai.usage.cost": 0.25,
    }
    spans = seen.of("plain")
    chats = [span for span in spans if span.name == "chat fable-1"]
    reasons = {tuple(span.attributes["gen_ai.response.finish_reasons"]) for span in chats}
    assert reasons == {("tool_calls",), ("stop",)}
    for chat in chats:
        assert chat.kind == "client"
        assert chat.attributes == {
            "dockrion.run.id": "plain",
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "model",
            "gen_ai.request.model": "fable-1",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.finish_reasons": chat.attributes["gen_ai.response.finish_reasons"],
            "gen_ai.response.id": "answer-1",
            "gen_ai.response.model": "fable-1-2026-11",
            **used,
        }
    tool = one(spans, "execute_tool look_up")
    assert tool.kind == "internal"
    assert tool.attributes == {
        "dockrion.run.id": "plain",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "look_up",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "call-1",
    }
    run = one(spans, "invoke_agent invoices").attributes
    assert {name: run[name] for name in used} == {name: 2 * used[name] for name in used}


def test_what_goes_on_after_an_answer_is_linked_to_what_was_before(seen: Seen) -> None:
    spans = seen.of("asking")
    first, second = [span for span in spans if span.name == "invoke_agent invoices"]
    assert first.attributes["dockrion.run.status"] == "INTERRUPTED"
    assert second.attributes["dockrion.run.status"] == "COMPLETED"
    asked, resumed = one(spans, "POST /runs"), one(spans, "POST /runs/{run_id}/resume")
    assert (first.trace_id, first.parent_id) == (TRACE, asked.span_id)
    assert (second.trace_id, second.parent_id) == (ANSWER_TRACE, resumed.span_id)
    assert second.links == [f"{TRACE}-{asked.span_id}"]
    # A node that waits for a person has not failed.
    assert {span.status for span in spans} == {"UNSET"}
