"""Lists of tasks."""

from __future__ import annotations

from typing import Any

import pytest
from a2a.types.a2a_pb2 import ListTasksResponse
from google.protobuf.json_format import ParseDict

from dockrion.testing import ScriptedAgent, running

from .kit import Waits, ask, asking, call, said, served, state, texts


async def test_tasks_are_listed_page_by_page() -> None:
    async with running(served(asking)) as app:
        for context in "abb":
            await ask(app, said(contextId=context))
        seen: list[dict[str, Any]] = []
        totals: list[int] = []
        token = ""
        while True:
            page = (await ask(app, call("ListTasks", pageSize=2, pageToken=token)))["result"]
            read = ParseDict(page, ListTasksResponse())
            seen += page["tasks"]
            totals.append(page["totalSize"])
            token = page["nextPageToken"]
            if not token:
                break
        some = (await ask(app, call("ListTasks", contextId="b", includeArtifacts=True)))["result"]
        none = (await ask(app, call("ListTasks", status="TASK_STATE_COMPLETED")))["result"]
        waiting = (await ask(app, call("ListTasks", status="TASK_STATE_INPUT_REQUIRED")))["result"]
        future = "2999-01-01T00:00:00Z"
        later = (await ask(app, call("ListTasks", statusTimestampAfter=future)))["result"]
        wrong = await ask(app, call("ListTasks", pageToken="x"))
    assert [one["contextId"] for one in seen] == ["b", "b", "a"]
    assert totals == [3, 3]
    assert (read.total_size, read.page_size) == (3, 2)
    assert not any("artifacts" in one for one in seen)
    assert [texts(one) for one in some["tasks"]] == [["Well. "]] * 2
    assert (len(waiting["tasks"]), none["tasks"], later["tasks"]) == (3, [], [])
    assert wrong["error"]["code"] == -32602


async def test_the_tasks_whose_state_is_newest_come_first_over_all_pages() -> None:
    app = served(
        asking, policies={"safety": {"redact_patterns": ["Kim"], "halt_on_violation": True}}
    )
    async with running(app):
        first, *others = [(await ask(app, said()))["result"]["task"]["id"] for _ in range(4)]
        await ask(app, said("yes", taskId=first))
        rejected = (await ask(app, said("Kim", taskId=others[0])))["result"]["task"]
        for size in (1, 2, 3, 4):
            seen, token, totals = [], "", set[int]()
            while not seen or token:
                listed = call("ListTasks", pageSize=size, pageToken=token)
                page = (await ask(app, listed))["result"]
                seen += [one["id"] for one in page["tasks"]]
                totals.add(page["totalSize"])
                token = page["nextPageToken"]
            # Those that wait may have begun to in one millisecond.
            assert (seen[:2], totals) == ([rejected["id"], first], {4})
            assert sorted(seen[2:]) == sorted(others[1:])
        of_state = {
            name: (await ask(app, call("ListTasks", status=f"TASK_STATE_{name}")))["result"]
            for name in ("REJECTED", "FAILED", "COMPLETED", "INPUT_REQUIRED", "AUTH_REQUIRED")
        }
        latest = rejected["status"]["timestamp"]
        after = (await ask(app, call("ListTasks", statusTimestampAfter=latest)))["result"]
    assert state(rejected) == "REJECTED"
    assert {name: one["totalSize"] for name, one in of_state.items()} == {
        "REJECTED": 1,
        "FAILED": 0,
        "COMPLETED": 1,
        "INPUT_REQUIRED": 2,
        "AUTH_REQUIRED": 0,
    }
    assert [one["id"] for one in of_state["REJECTED"]["tasks"]] == [rejected["id"]]
    assert rejected["id"] in [one["id"] for one in after["tasks"]]


async def test_who_has_very_many_tasks_finds_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages of the store and what is sorted at once are of other sizes than those that are asked for."""
    monkeypatch.setattr("dockrion.runtime.endpoints.a2a.listing._WINDOW", 4)
    monkeypatch.setattr("dockrion.runtime.endpoints.a2a.listing._PAGE", 2)
    async with running(served(ScriptedAgent(["a"]))) as app:
        made = [(await ask(app, said(contextId=c)))["result"]["task"]["id"] for c in "abbbbbbbb"]
        pages: list[list[str]] = []
        token, total = "", 0
        while not pages or token:
            page = (await ask(app, call("ListTasks", pageSize=3, pageToken=token)))["result"]
            pages.append([one["id"] for one in page["tasks"]])
            token, total = page["nextPageToken"], page["totalSize"]
        oldest = (await ask(app, call("ListTasks", contextId="a")))["result"]
    assert sorted(one for page in pages for one in page) == sorted(made)
    assert [len(page) for page in pages] == [3, 1, 3, 1, 1]
    assert (total, [one["id"] for one in oldest["tasks"]]) == (9, made[:1])


async def test_who_does_not_wait_is_told_when_the_task_came() -> None:
    agent = Waits()
    async with running(served(agent.__call__, expose={"limits": {"max_concurrency": 1}})) as app:
        at_once = said(configuration={"returnImmediately": True})
        running_one = (await ask(app, at_once))["result"]["task"]
        await agent.started.wait()
        waiting = (await ask(app, at_once))["result"]["task"]
        listed = (await ask(app, call("ListTasks")))["result"]["tasks"]
    assert state(waiting) == "SUBMITTED"
    assert waiting["status"]["timestamp"] >= running_one["status"]["timestamp"]
    assert [one["id"] for one in listed] == [waiting["id"], running_one["id"]]


@pytest.mark.parametrize(
    "token", ["x", "1.x", "1.2.3", "a...", "..1.", "0.x..", "0..1.", "....", "1...r"]
)
async def test_a_token_of_no_page_is_refused(token: str) -> None:
    async with running(served(ScriptedAgent())) as app:
        refused = await ask(app, call("ListTasks", pageToken=token))
    assert refused["error"]["code"] == -32602
    assert "pageToken" in refused["error"]["message"]
