"""Lists of A2A's tasks cost what they say, and hold up nobody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from dockrion.runs.store.memory import MemoryStore
from dockrion.testing import app_for, post, running

TASKS = 7


async def speaks(payload: Any) -> Any:
    for number in range(300):
        yield f"{number} "
    if payload["query"] == "fail":
        raise RuntimeError("no")


def served() -> FastAPI:
    schema = {"input": {"properties": {"query": {"type": "string"}}, "required": ["query"]}}
    return app_for(speaks, expose={"protocols": ["a2a"]}, io_schema=schema)


async def result(app: FastAPI, method: str, **params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with post(app, "/a2a", body) as exchange:
        return (await exchange.json())["result"]


async def with_tasks(app: FastAPI) -> None:
    for number in range(TASKS):
        parts = [{"text": "fail" if number == 3 else "hi"}]
        await result(
            app, "SendMessage", message={"messageId": "m", "role": "ROLE_USER", "parts": parts}
        )


async def test_of_tasks_that_have_ended_only_the_end_is_read_where_artifacts_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    real = MemoryStore.read

    async def counts(store: MemoryStore, run_id: str, start: int) -> Any:
        page = await real(store, run_id, start)
        read.append(0 if page is None else len(page.entries))
        return page

    async with running(served()) as app:
        await with_tasks(app)
        whole = await result(app, "ListTasks", includeArtifacts=True)
        monkeypatch.setattr(MemoryStore, "read", counts)
        listed = await result(app, "ListTasks")
        failed = await result(app, "ListTasks", status="TASK_STATE_FAILED")
    assert read == [1] * (TASKS + 1)
    bare = [
        {key: value for key, value in task.items() if key != "artifacts"} for task in whole["tasks"]
    ]
    assert len(bare) == TASKS
    assert listed["tasks"] == bare
    assert [task["status"]["state"] for task in failed["tasks"]] == ["TASK_STATE_FAILED"]


async def test_others_have_their_turn_between_the_tasks_of_a_list() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(served()) as app:
        await with_tasks(app)
        before = asyncio.ensure_future(others())
        await asyncio.sleep(0)
        turns = 0
        await result(app, "ListTasks", contextId="nobody")
        alone, turns = turns, 0
        await result(app, "ListTasks", includeArtifacts=True)
        before.cancel()
    assert turns >= alone + TASKS


@pytest.mark.parametrize("token", ["x", "1.x", "-1.x", "1.1-1", "1.\0", "9" * 12 + ".x"])
async def test_a_token_that_is_none_is_refused_by_its_own_name(token: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageToken": token}}
    async with running(served()) as app, post(app, "/a2a", body) as exchange:
        error = (await exchange.json())["error"]
    assert error["code"] == -32602
    assert error["message"] == "pageToken: must be the nextPageToken of another page"
