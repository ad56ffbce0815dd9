"""LangGraph graphs as agents: threads of a conversation, interrupts, loading."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.config import get_store
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.types import interrupt

from dockrion.adapters import load_agent
from dockrion.errors import InvalidAgentError
from dockrion.events.model import (
    Complete,
    Event,
    Failed,
    Interrupt,
)
from dockrion.spec.agent import AgentSpec
from dockrion.testing import app_for, post, running
from tests.adapters.graphs import (
    QUERY,
    State,
    agent_of,
    events_of,
    graph_of,
)
from tests.runs.kit import read_to_end, runner_for_agent

# Threads of a conversation, interrupts


class SyncOnly(InMemorySaver):
    """A saver as some packages have it: async methods are there, and raise."""

    async def aget_tuple(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def aput(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def aput_writes(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def counts(state: State) -> dict[str, Any]:
    return {"notes": [f"call {len(state['notes']) + 1}"]}


@pytest.mark.parametrize("kind", ["memory", "sync only", "sqlite"])
async def test_a_thread_remembers_over_several_calls(kind: str, tmp_path: Path) -> None:
    async def answers(saver: Any) -> list[Any]:
        app = app_for(await agent_of(graph_of(counts, checkpointer=saver)))
        notes: list[Any] = []
        async with running(app):
            for thread in ("one", "one", "two", "one"):
                async with post(app, f"/invoke?thread_id={thread}", {"query": "q"}) as exchange:
                    notes.append((await exchange.json())["output"]["notes"])
        return notes

    if kind == "sqlite":
        with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as saver:
            notes = await answers(saver)
    else:
        notes = await answers(InMemorySaver() if kind == "memory" else SyncOnly())

    assert notes == [["call 1"], ["call 1", "call 2"], ["call 1"], ["call 1", "call 2", "call 3"]]


def asks(state: State) -> dict[str, Any]:
    return {"notes": [interrupt({"may I?": state["query"]})]}


async def test_an_interrupt_ends_the_stream_and_is_202_of_invoke() -> None:
    app = app_for(await agent_of(graph_of(asks, checkpointer=InMemorySaver())))
    async with running(app):
        async with post(app, "/invoke/stream", QUERY) as stream:
            events = [event async for event in stream.events()]
        async with post(app, "/invoke", QUERY) as answer:
            body = await answer.json()
        async with post(app, "/invoke", QUERY) as again:
            await again.read()

    assert [event.event for event in events] == ["started", "interrupt"]
    shown = events[-1].json()
    assert shown["value"] == {"may I?": "q"}
    assert answer.status == again.status == 202
    assert (body["success"], body["status"]) == (True, "INTERRUPTED")
    assert [one["value"] for one in body["interrupts"]] == [{"may I?": "q"}]
    assert body["metadata"]["run_id"] == answer.headers["x-run-id"]


async def test_the_api_document_has_the_answer_of_an_interrupt_where_there_can_be_one() -> None:
    agent = await agent_of(graph_of(asks, checkpointer=InMemorySaver()))
    named = {"name": "test", "framework": "langgraph", "entrypoint": "m:graph"}
    for app, has in [(app_for(agent, agent=named), True), (app_for(agent), False)]:
        answers = app.openapi()["paths"]["/invoke"]["post"]["responses"]
        assert ("202" in answers) is has


async def test_all_that_ask_at_once_are_told_and_the_run_waits_whatever_ends_last() -> None:
    asked = asyncio.Event()
    kept: list[str] = []

    class Saver(InMemorySaver):
        async def aput_writes(
            self, config: Any, writes: Any, task_id: str, task_path: str = ""
        ) -> None:
            kept.extend(channel for channel, _ in writes)
            if kept.count("__interrupt__") == 2:
                asked.set()
            await super().aput_writes(config, writes, task_id, task_path)

    async def first(_: State) -> dict[str, Any]:
        return {"notes": [interrupt("first?")]}

    async def second(_: State) -> dict[str, Any]:
        return {"notes": [interrupt("second?")]}

    async def ends_last(_: State) -> dict[str, Any]:
        await asked.wait()
        return {"notes": ["done"]}

    graph = graph_of(first, second, ends_last, parallel=True, checkpointer=Saver())
    events = await events_of(graph)

    assert [event.value for event in events if isinstance(event, Interrupt)] == [
        "first?",
        "second?",
    ]
    assert isinstance(events[-1], Interrupt)


async def test_nodes_and_the_graphs_within_them_have_the_store_of_the_graph() -> None:
    async def remembers(state: State, *, store: BaseStore) -> dict[str, Any]:
        await store.aput(("notes",), "first", {"text": "kept"})
        return {}

    def recalls(state: State) -> dict[str, Any]:
        found = get_store().get(("notes",), "first")
        return {"notes": [] if found is None else [found.value["text"]]}

    events = await events_of(graph_of(remembers, graph_of(recalls), store=InMemoryStore()))

    assert isinstance(events[-1], Complete)
    assert events[-1].output["notes"] == ["kept"]


async def test_an_interrupt_without_a_checkpointer_is_an_error() -> None:
    events = await events_of(graph_of(asks))
    assert events[-1] == Failed("interrupt() needs a checkpointer", "AGENT_EXECUTION_ERROR")
    assert not any(isinstance(event, Interrupt) for event in events)


async def test_what_a_node_raises_is_an_error_of_the_agent() -> None:
    async def breaks(state: State) -> dict[str, Any]:
        raise LookupError("nothing there")

    last: Event = (await events_of(graph_of(breaks)))[-1]
    assert last == Failed("LookupError: nothing there", "AGENT_EXECUTION_ERROR")


# Loading

MODULE = """
from contextlib import asynccontextmanager
from tests.adapters.graphs import graph_of, State
from langgraph.graph import StateGraph

def node(state):
    return {"notes": ["done"]}

graph = graph_of(node)
open_builder = StateGraph(State)

def factory():
    return graph

async def async_factory():
    return graph

@asynccontextmanager
async def held():
    yield graph
    print("closed")

def text():
    return "no graph"
"""


@pytest.mark.parametrize("name", ["graph", "factory", "async_factory", "held"])
async def test_an_entrypoint_is_a_graph_or_a_factory_of_any_kind(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = await load_from(tmp_path, name)
    with anyio.fail_after(5):
        events: list[Any] = await read_to_end(runner_for_agent(agent).start(QUERY, streams=True))
    await agent.close()

    assert events[-1].output == {"query": "q", "notes": ["done"]}
    assert agent.describe()["nodes"] == ["node"]
    assert ("closed" in capsys.readouterr().out) is (name == "held")


@pytest.mark.parametrize(
    ("name", "message"),
    [("open_builder", "StateGraph; return graph.compile()"), ("text", "an object of str")],
)
async def test_what_is_no_compiled_graph_is_refused(
    name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidAgentError, match=r"agent\.entrypoint") as caught:
        await load_from(tmp_path, name)
    assert message in caught.value.message


async def load_from(folder: Path, name: str) -> Any:
    module = f"graphs_of_{name}_{folder.name}".replace("-", "_").replace("[", "").replace("]", "")
    (folder / f"{module}.py").write_text(MODULE)
    spec = AgentSpec.model_validate(
        {"name": "test", "framework": "langgraph", "entrypoint": f"{module}:{name}"}
    )
    return await load_agent(spec, folder=folder, arguments={})
