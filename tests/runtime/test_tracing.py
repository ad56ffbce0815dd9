"""Spans of requests and runs, as a collector gets them; trace context of W3C in and out; trace ids in log lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import anyio
import pytest
from opentelemetry import propagate, trace

from dockrion.errors import PolicyViolationError
from dockrion.events.context import StreamContext
from dockrion.testing import app_for, post, request, running
from tests.telemetry.collector import Collector, collecting, one, tree

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "vendor=a1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-00"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def traced(agent: Any, collector: Collector, **sections: Any) -> Any:
    otlp = {"endpoint": collector.url, "headers": {"x-team": "tests"}}
    return app_for(agent, observability={"otlp": otlp}, **sections)


async def call(app: Any, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    async with post(app, path, {} if body is None else body, headers=headers) as exchange:
        await exchange.head()
        return exchange.status, await exchange.read()


async def speak(payload: Any) -> AsyncGenerator[str]:
    if payload.get("fails"):
        raise ValueError("the password is hunter2")
    yield "a"


async def test_a_request_is_a_server_span_with_its_run_below_it(collector: Collector) -> None:
    async with running(traced(speak, collector, metadata={"version": "7"})) as app:
        await call(app, "/invoke?thread_id=t1", **{"x-run-id": "r1", "user-agent": "me/1"})

    spans = collector.spans
    assert tree(spans) == [["POST /invoke", [["invoke_agent test"]]]]
    server, run = one(spans, "POST /invoke"), one(spans, "invoke_agent test")
    assert (server.kind, run.kind) == ("server", "internal")
    assert server.attributes | {"dockrion.request.id": "?"} == {
        "http.request.method": "POST",
        "http.route": "/invoke",
        "http.response.status_code": 200,
        "url.path": "/invoke",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "server.address": "testserver",
        "client.address": "127.0.0.1",
        "user_agent.original": "me/1",
        "dockrion.request.id": "?",
        "dockrion.run.id": "r1",
    }
    assert run.attributes == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "test",
        "gen_ai.agent.version": "7",
        "gen_ai.conversation.id": "t1",
        "dockrion.framework": "custom",
        "dockrion.run.id": "r1",
        "dockrion.run.status": "COMPLETED",
    }
    assert [span.status for span in spans] == ["UNSET", "UNSET"]
    [resource] = collector.resources
    assert (resource["service.name"], resource["service.version"]) == ("test", "7")
    assert (collector.paths, collector.headers[0]["x-team"]) == (["/v1/traces"], "tests")
    assert collector.headers[0]["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("path", ["/invoke", "/invoke/stream"])
async def test_a_run_that_fails_is_told_as_callers_are_told_it(
    path: str, collector: Collector
) -> None:
    app = traced(speak, collector, expose={"error_details": False})
    async with running(app) as app:
        await call(app, path, {"fails": True})

    server, run = one(collector.spans, f"POST {path}"), one(collector.spans, "invoke_agent test")
    assert (run.status, run.attributes["error.type"]) == ("ERROR", "AGENT_EXECUTION_ERROR")
    assert "hunter2" not in run.message
    assert run.message
    assert (server.status, server.attributes["error.type"]) == ("ERROR", "AGENT_EXECUTION_ERROR")
    # What a stream was answered with does not change any more.
    sent = {"/invoke": 500, "/invoke/stream": 200}[path]
    assert server.attributes["http.response.status_code"] == sent


async def test_what_a_caller_does_wrong_is_no_failure_of_the_server(collector: Collector) -> None:
    async with running(traced(speak, collector)) as app:
        await call(app, "/invoke", b"{")

    [span] = collector.spans
    assert (span.status, span.attributes["http.response.status_code"]) == ("UNSET", 400)
    assert span.attributes["error.type"] == "VALIDATION_ERROR"


async def test_the_trace_of_a_caller_goes_on(collector: Collector) -> None:
    async with running(traced(speak, collector)) as app:
        await call(app, "/invoke", **CALLER)

    server = one(collector.spans, "POST /invoke")
    assert (server.trace_id, server.parent_id) == (TRACE, "b7ad6b7169203331")
    assert one(collector.spans, "invoke_agent test").trace_id == TRACE


async def test_what_a_caller_does_not_sample_is_not_sent(collector: Collector) -> None:
    seen: list[str] = []

    async def look(payload: Any) -> Any:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        seen.append(carrier["traceparent"])
        return {}

    async with running(traced(look, collector)) as app:
        await call(app, "/invoke", **UNSAMPLED)
        await call(app, "/invoke", **{"x-run-id": "sampled"})

    assert [span.attributes["dockrion.run.id"] for span in collector.spans] == ["sampled"] * 2
    # Whoever the agent calls learns of it, too.
    assert seen[0].startswith(f"00-{TRACE}-")
    assert int(seen[0][-2:], 16) & 1 == 0
    assert int(seen[1][-2:], 16) & 1 == 1


def _sync(payload: Any) -> dict[str, str]:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier


async def _async(payload: Any) -> dict[str, str]:
    return _sync(payload)


async def _in_a_thread(payload: Any) -> dict[str, str]:
    return await asyncio.to_thread(_sync, payload)


def _in_a_bound_thread(payload: Any, context: StreamContext) -> dict[str, str]:
    import threading

    found: list[dict[str, str]] = []
    thread = threading.Thread(target=context.bind(lambda: found.append(_sync(payload))))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("agent", [_sync, _async, _in_a_thread, _in_a_bound_thread])
async def test_what_the_agent_calls_is_told_where_in_the_trace_it_is(
    agent: Any, collector: Collector
) -> None:
    async with running(traced(agent, collector)) as app:
        headers = CALLER | {"baggage": "tenant=a"}
        async with post(app, "/invoke", {}, headers=headers) as exchange:
            carrier = (await exchange.json())["output"]

    run = one(collector.spans, "invoke_agent test")
    assert carrier["traceparent"].startswith(f"00-{TRACE}-{run.span_id}-")
    assert (carrier["tracestate"], carrier["baggage"]) == ("vendor=a1", "tenant=a")


async def test_spans_of_libraries_come_with_ours(collector: Collector) -> None:
    async def agent(payload: Any) -> Any:
        with trace.get_tracer("library").start_as_current_span("inner") as span:
            span.set_attribute("key", "value")
        return {}

    async with running(traced(agent, collector)) as app:
        await call(app, "/invoke")

    inner = one(collector.spans, "inner")
    assert (inner.scope, inner.attributes) == ("library", {"key": "value"})
    assert inner.parent_id == one(collector.spans, "invoke_agent test").span_id
    assert one(collector.spans, "POST /invoke").scope == "dockrion"


async def test_what_the_agent_says_of_its_span_is_there(collector: Collector) -> None:
    async def agent(payload: Any) -> Any:
        span = trace.get_current_span()
        span.set_attribute("customer", "a")
        span.add_event("looked up", {"n": 3})
        return {}

    async with running(traced(agent, collector)) as app:
        await call(app, "/invoke")

    run = one(collector.spans, "invoke_agent test")
    assert (run.attributes["customer"], run.events) == ("a", ["looked up"])


async def test_no_secret_and_nothing_that_is_redacted_is_in_a_span(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKRION_API_KEY", "hunter2-hunter2")

    async def agent(payload: Any) -> Any:
        span = trace.get_current_span()
        span.set_attribute("dsn", "pg://hunter2-hunter2@db")
        span.set_attribute("mail", "ada@example.org")
        with trace.get_tracer("library").start_as_current_span("hunter2-hunter2") as inner:
            inner.set_attribute("mail", "ada@example.org")
        raise PolicyViolationError("ada@example.org may not", rule="own")

    sections = {
        "auth": {"mode": "api_key"},
        "policies": {"safety": {"redact_patterns": [r"[\w.]+@example\.org"]}},
    }
    async with running(traced(agent, collector, **sections)) as app:
        await call(app, "/invoke", **{"x-api-key": "hunter2-hunter2"})

    run = one(collector.spans, "invoke_agent test")
    assert run.attributes["dsn"] == "pg://***@db"
    assert run.attributes["mail"] == one(collector.spans, "***").attributes["mail"] == "[REDACTED]"
    assert run.message == "[REDACTED] may not"


async def test_a_run_is_found_in_the_trace_of_the_request_that_asked_for_it(
    collector: Collector,
) -> None:
    async with running(traced(speak, collector)) as app:
        await call(app, "/runs", **(CALLER | {"x-run-id": "kept"}))
        async with request(app, "GET", "/runs/kept/events") as exchange:
            await exchange.read()

    assert tree(collector.spans) == [["POST /runs", [["invoke_agent test"]]]]
    assert {span.trace_id for span in collector.spans} == {TRACE}
    assert {span.attributes["dockrion.run.id"] for span in collector.spans} == {"kept"}


@pytest.mark.parametrize("is_traced", [False, True])
async def test_log_lines_of_a_run_have_the_trace_of_its_caller(
    is_traced: bool, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[str | None] = []

    async def agent(payload: Any, context: StreamContext) -> Any:
        ids.append(context.trace_id)
        return {}

    app = traced(agent, collector) if is_traced else app_for(agent)
    with caplog.at_level(logging.INFO, "dockrion.runtime.access"):
        async with running(app) as app:
            await call(app, "/invoke", **CALLER)
            await call(app, "/invoke")
            await call(app, "/runs", **(CALLER | {"x-run-id": "kept"}))
            async with request(app, "GET", "/runs/kept/events") as exchange:
                await exchange.read()

    lines = [record for record in caplog.records if record.getMessage() == "request"]
    told: list[str | None] = [getattr(record, "trace_id", None) for record in lines]
    assert ids == told
    assert (told[0], told[2]) == (TRACE, TRACE)
    assert (told[1] is not None) == is_traced


async def test_nothing_is_sent_where_tracing_is_off(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = app_for(speak, observability={"tracing": False, "otlp": {"endpoint": collector.url}})
    async with running(off) as app:
        await call(app, "/invoke", **CALLER)
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    async with running(traced(speak, collector)) as app:
        await call(app, "/invoke", **CALLER)

    assert collector.paths == []


async def test_the_environment_may_say_where_and_as_whom(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop-assistant")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=staging")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    async with running(app_for(speak)) as app:
        await call(app, "/invoke")

    assert tree(collector.spans) == [["POST /invoke", [["invoke_agent test"]]]]
    [resource] = collector.resources
    assert resource["service.name"] == "shop-assistant"
    assert resource["deployment.environment.name"] == "staging"


async def test_the_sampler_of_the_environment_decides(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with running(traced(speak, collector)) as app:
        await call(app, "/invoke")
        await call(app, "/invoke", **CALLER)

    assert [span.trace_id for span in collector.spans] == [TRACE, TRACE]


async def test_a_caller_who_leaves_ends_the_spans(collector: Collector) -> None:
    started = asyncio.Event()

    async def wait(payload: Any) -> AsyncGenerator[str]:
        started.set()
        await asyncio.Event().wait()
        yield "never"

    async with running(traced(wait, collector)) as app:
        async with post(app, "/invoke/stream", {}) as exchange:
            await started.wait()
            exchange.disconnect()
            with anyio.fail_after(5):
                await exchange.ended.wait()

    run = one(collector.spans, "invoke_agent test")
    assert (run.status, run.attributes["dockrion.run.status"]) == ("UNSET", "CANCELLED")
    assert one(collector.spans, "POST /invoke/stream").status == "UNSET"


async def test_langfuse_gets_who_asked_for_what_in_which_session(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADA_KEY", "a-key-of-ada")
    app = app_for(
        speak,
        observability={
            "langfuse": {"public_key": "pk-1", "secret_key": "sk-1", "host": collector.url}
        },
        auth={"api_keys": {"keys": [{"name": "ada", "env_var": "ADA_KEY"}]}},
    )
    async with running(app) as app:
        await call(app, "/invoke?thread_id=t1", **{"x-api-key": "a-key-of-ada"})

    assert collector.paths == ["/api/public/otel/v1/traces"]
    assert collector.headers[0]["authorization"] == "Basic cGstMTpzay0x"
    run = one(collector.spans, "invoke_agent test").attributes
    assert run["langfuse.trace.name"] == "test"
    assert (run["session.id"], run["user.id"]) == ("t1", "ada")
