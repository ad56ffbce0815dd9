"""What is logged of runs: their ids in every line, and one access line for each invocation."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest

from dockrion.events.context import StreamContext, get_current_context
from dockrion.testing import app_for, post, running

from .kit import ALWAYS, Logged, log

# The ids of the run


async def test_whatever_is_logged_inside_a_run_has_its_ids(logged: Logged) -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        log.warning("in the agent")

        async def in_task() -> None:
            log.warning("in a task")

        await asyncio.create_task(in_task())
        await asyncio.to_thread(log.warning, "in a thread")
        thread = threading.Thread(target=context.bind(log.warning), args=("in another",))
        thread.start()
        thread.join()
        raise ValueError("bad")

    async with running(app_for(agent)) as app:
        headers = {"x-request-id": "req-1", "x-run-id": "run-1"}
        async with post(app, "/invoke", {}, headers=headers) as exchange:
            await exchange.read()

    events = ("in the agent", "in a task", "in a thread", "in another", "agent raised")
    for event in events:
        [line] = logged.of(event)
        assert (line["request_id"], line["run_id"]) == ("req-1", "run-1"), event
    assert get_current_context() is None


async def test_a_sync_agent_and_the_check_of_its_output_have_the_ids_too(logged: Logged) -> None:
    def agent(payload: Any) -> Any:
        log.warning("in the agent")
        return {"n": "text"}

    schema = {"output": {"properties": {"n": {"type": "integer"}}}}
    async with running(app_for(agent, io_schema=schema)) as app:
        headers = {"x-request-id": "req-1", "x-run-id": "run-1"}
        async with post(app, "/invoke/stream", {}, headers=headers) as exchange:
            await exchange.read()

    for event in ("in the agent", "output does not fit io_schema.output"):
        [line] = logged.of(event)
        assert (line["request_id"], line["run_id"]) == ("req-1", "run-1"), event


# Access lines


async def test_each_invocation_has_one_access_line(logged: Logged) -> None:
    async def agent(payload: Any) -> Any:
        if payload.get("fails"):
            raise ValueError("secret of the payload")
        return payload

    async with running(app_for(agent)) as app:
        for path, body in (
            ("/invoke?run_id=one", {"query": "do not log me"}),
            ("/invoke/stream", {"fails": 1}),
            ("/invoke", b"{"),
        ):
            headers = {"x-request-id": f"req-{path[:7]}", "authorization": "Bearer do not log me"}
            async with post(app, path, body, headers=headers) as exchange:
                await exchange.read()

    good, failed, refused = logged.of("request")
    assert list(good) == [*ALWAYS, "logger", "method", "path", "status", "duration_seconds"]
    assert (good["level"], good["agent"], good["run_id"]) == ("info", "test", "one")
    assert (good["method"], good["path"], good["status"]) == ("POST", "/invoke", 200)
    assert 0 < good["duration_seconds"] < 5
    assert (failed["path"], failed["status"]) == ("/invoke/stream", 500)
    assert failed["code"] == "AGENT_EXECUTION_ERROR"
    assert (refused["status"], refused["code"]) == (400, "VALIDATION_ERROR")
    assert refused["run_id"] is None
    assert "do not log me" not in logged.text


async def test_access_lines_are_off_above_info(logged: Logged) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    async with running(app_for(lambda payload: payload)) as app:
        async with post(app, "/invoke", {}) as exchange:
            await exchange.read()

    assert logged.text == ""


async def test_handlers_of_others_get_access_lines_as_records(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running(app_for(lambda payload: payload)) as app:
        async with post(app, "/invoke?run_id=one", {}) as exchange:
            await exchange.read()

    [record] = [r for r in caplog.records if r.name == "dockrion.runtime.access"]
    assert record.getMessage() == "request"
    assert vars(record)["run_id"] == "one"
    assert vars(record)["status"] == 200
