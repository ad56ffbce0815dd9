"""`context.ask` in the code of frameworks: nodes, tools, Runnables, adapters of other packages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt

from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.objects import ForeignAgent
from dockrion.adapters.shapes import Shapes
from dockrion.events.context import StreamContext, get_current_context
from dockrion.events.model import Complete, Interrupt
from dockrion.runs.run import Run
from tests.adapters.graphs import QUERY, State, agent_of, graph_of
from tests.runs.kit import next_batch, runner_for_agent


def current() -> StreamContext:
    context = get_current_context()
    assert context is not None
    return context


async def asks(state: State) -> dict[str, Any]:
    return {"notes": [f"async: {await current().ask('async?')}"]}


def sync_asks(state: State) -> dict[str, Any]:
    return {"notes": [f"sync: {current().sync_ask('sync?')}"]}


@tool
async def approve(what: str) -> str:
    """Ask a person."""
    return str(await current().ask(what))


async def asks_in_tool(state: State) -> dict[str, Any]:
    return {"notes": [f"tool: {await approve.ainvoke({'what': 'tool?'})}"]}


async def answered(run: Run) -> Any:
    """Answer each question with its own text in capitals, and return the last event."""
    with anyio.fail_after(10):
        while True:
            batch = await next_batch(run)
            if batch.is_last and not run.questions:
                return batch.events[-1]
            run.answer({one.interrupt_id: str(one.value).upper() for one in run.questions})


@pytest.mark.parametrize("parallel", [False, True])
async def test_nodes_and_tools_wait_for_their_answers(parallel: bool) -> None:
    graph = graph_of(asks, sync_asks, asks_in_tool, parallel=parallel)
    run = runner_for_agent(await agent_of(graph)).start(QUERY, streams=True)
    last = await answered(run)
    assert isinstance(last, Complete)
    assert sorted(last.output["notes"]) == ["async: ASYNC?", "sync: SYNC?", "tool: TOOL?"]


async def test_a_graph_may_ask_both_ways() -> None:
    def interrupts(state: State) -> dict[str, Any]:
        return {"notes": [interrupt("interrupt?")]}

    graph = graph_of(asks, interrupts, checkpointer=InMemorySaver())
    last = await answered(runner_for_agent(await agent_of(graph)).start(QUERY, streams=True))
    assert isinstance(last, Interrupt)
    assert last.value == "interrupt?"


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_runnable_waits_for_its_answer(is_async: bool) -> None:
    async def on_loop(payload: Any) -> Any:
        return {"answer": await current().ask("?a")}

    def off_loop(payload: Any) -> Any:
        return {"answer": current().sync_ask("?a")}

    runnable: Any = RunnableLambda(on_loop if is_async else off_loop)
    agent = RunnableAgent(runnable, name="kit:runnable", shapes=Shapes())
    last = await answered(runner_for_agent(agent).start({}, streams=True))
    assert isinstance(last, Complete)
    assert last.output == {"answer": "?A"}


class Adapter:
    def load(self, path: str) -> None: ...

    def invoke(self, payload: Any) -> Any:
        return {"answer": current().sync_ask("?b")}

    def get_metadata(self) -> dict[str, Any]:
        return {}


class Streaming(Adapter):
    async def ainvoke(self, payload: Any) -> Any:
        raise AssertionError("it is to be streamed")

    async def invoke_stream(
        self, payload: Any, *, context: StreamContext, events_filter: Any
    ) -> AsyncGenerator[Any]:
        answers = await asyncio.gather(context.ask("?b"))
        yield {"answer": answers[0]}


@pytest.mark.parametrize("adapter", [Adapter(), Streaming()], ids=["plain", "streaming"])
async def test_an_adapter_of_another_package_waits_for_its_answer(adapter: Any) -> None:
    agent = ForeignAgent(adapter, framework="foreign")
    last = await answered(runner_for_agent(agent).start({}, streams=True))
    assert isinstance(last, Complete)
    assert last.output == {"answer": "?B"}
