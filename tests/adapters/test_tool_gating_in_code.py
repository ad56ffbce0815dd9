"""Tools that code calls and the Dockfile does not allow: they do not run, however they are called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda, RunnableParallel
from langchain_core.tools import (
    BaseTool,
    ToolException,
    tool,
)
from langgraph.func import entrypoint, task
from langgraph.graph import MessagesState
from langgraph.prebuilt import ToolNode

from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.shapes import Shapes
from dockrion.errors import PolicyViolationError
from dockrion.events.context import StreamContext, get_current_context
from dockrion.events.model import Complete, Policy
from tests.adapters.forbidden import (
    ANSWER,
    HALTING,
    REFUSAL,
    RULES,
    SENTENCE,
    VIOLATION,
    ClassTool,
    OwnRun,
    answers,
    asks_for,
    async_rm,
    call,
    events_of,
    every_kind,
    node_graph,
    ran,
    rm,
    search,
    told,
)


@every_kind
async def test_a_node_that_calls_the_tool_gets_an_exception(forbidden: BaseTool) -> None:
    caught: list[BaseException] = []

    async def node(state: MessagesState) -> Any:
        try:
            await forbidden.ainvoke({"path": "/"})
        except ToolException as exc:
            caught.append(exc)
        return {"messages": []}

    events = await events_of(node_graph(node), asks_for())
    assert [str(exc) for exc in caught] == [SENTENCE]
    assert isinstance(caught[0], PolicyViolationError)
    assert told(events) == REFUSAL


@every_kind
async def test_one_that_nobody_catches_ends_the_run_as_a_violation(forbidden: BaseTool) -> None:
    def node(state: MessagesState) -> Any:
        return {"messages": [forbidden.invoke({"path": "/"})]}

    events = await events_of(node_graph(node), asks_for())
    assert events[-1] == VIOLATION
    assert told(events) == REFUSAL


async def test_a_tool_that_answers_its_own_errors_answers_this_one() -> None:
    lenient = ClassTool(handle_tool_error=lambda exc: f"sorry: {exc}")
    events = await events_of(lenient, {"path": "/"})
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"content": f"sorry: {SENTENCE}"}


@pytest.mark.parametrize("config", [{"callbacks": []}, {"callbacks": None}, {}, {"run_name": "n"}])
async def test_a_config_does_not_open_the_gate(config: Any) -> None:
    async def node(state: MessagesState) -> Any:
        for attempt in (rm.invoke, rm.run):
            with pytest.raises(ToolException):
                attempt({"path": "/"}, **({"config": config} if attempt == rm.invoke else {}))
        with pytest.raises(ToolException):
            await rm.ainvoke({"path": "/"}, config)
        with pytest.raises(ToolException):
            await rm.arun({"path": "/"}, callbacks=[])
        return {"messages": []}

    events = await events_of(node_graph(node), asks_for())
    assert isinstance(events[-1], Complete)
    assert sum(isinstance(event, Policy) for event in events) == 4


def in_the_same_thread(attempt: Callable[[], Any]) -> Any:
    return attempt()


def in_a_pool(attempt: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(attempt).result(5)


def in_a_bound_thread(attempt: Callable[[], Any]) -> Any:
    context = get_current_context()
    assert context is not None
    return in_a_pool(context.bind(attempt))


@pytest.mark.parametrize("where", [in_the_same_thread, in_a_pool, in_a_bound_thread])
async def test_in_threads_of_every_kind(where: Callable[..., Any]) -> None:
    async def node(state: MessagesState) -> Any:
        with pytest.raises(ToolException, match="not allowed"):
            await asyncio.to_thread(where, lambda: rm.invoke({"path": "/"}))
        return {"messages": []}

    events = await events_of(node_graph(node), asks_for())
    assert isinstance(events[-1], Complete), events[-1]


@pytest.mark.parametrize("where", [in_the_same_thread, in_a_pool, in_a_bound_thread])
async def test_a_thread_of_the_agents_own_that_has_the_config_is_known_by_it(
    where: Callable[..., Any],
) -> None:
    tools = ToolNode([rm])

    def node(state: MessagesState, config: RunnableConfig) -> Any:
        return where(lambda: tools.invoke(state, config))

    events = await events_of(node_graph(node), asks_for(call("rm")))
    assert answers(events) == [ANSWER]
    assert told(events) == REFUSAL


async def test_in_runnables_side_by_side_and_in_batches() -> None:
    chain = RunnableParallel(a=search, b=rm.with_fallbacks([RunnableLambda(lambda _: "instead")]))
    events = await events_of(chain, {"query": "x", "path": "/"})
    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"a": "found x", "b": "instead"}
    assert ran == ["search"]

    batch = RunnableLambda(lambda _: rm.batch([{"path": "/"}] * 3, return_exceptions=True))
    events = await events_of(batch, {})
    assert sum(isinstance(event, Policy) for event in events) == 3


async def test_a_chain_that_ends_in_the_tool_ends_as_a_violation() -> None:
    events = await events_of(RunnableLambda(lambda x: x) | rm, {"path": "/"})
    assert events[-1] == VIOLATION
    assert told(events) == REFUSAL


async def test_in_the_functional_api() -> None:
    @task
    def remove(path: str) -> str:
        return rm.invoke({"path": path})

    @entrypoint()
    async def flow(payload: dict[str, Any]) -> Any:
        try:
            return await remove("/")
        except ToolException as exc:
            return str(exc)

    events = await events_of(flow, {})
    assert events[-1].output == {"content": SENTENCE}


async def test_a_tool_class_with_a_run_of_its_own_is_stopped_at_its_start() -> None:
    def node(state: MessagesState) -> Any:
        return {"messages": [OwnRun().invoke({"path": "/"})]}

    events = await events_of(node_graph(node), asks_for())
    assert events[-1] == VIOLATION
    assert told(events) == [("Policy", "rm", None)]


# What ends the run


@pytest.mark.parametrize("forbidden", [rm, async_rm], ids=["sync", "async"])
async def test_where_the_rules_say_so_the_run_ends_whatever_the_graph_does(
    forbidden: BaseTool,
) -> None:
    went_on: list[str] = []

    async def node(state: MessagesState) -> Any:
        result = await ToolNode([forbidden]).ainvoke(state)
        went_on.append("after the tool")
        return result

    events = await events_of(node_graph(node), asks_for(call("rm")), rules=HALTING)
    assert events[-1] == VIOLATION
    assert told(events) == REFUSAL[:2]
    assert went_on == []


async def test_code_that_swallows_everything_does_not_go_on_emitting() -> None:
    def node(state: MessagesState) -> Any:
        context = get_current_context()
        assert context is not None
        try:
            rm.invoke({"path": "/"}, {"callbacks": []})
        except Exception:
            ran.append("swallowed")
        context.sync_emit_progress("more", 0.5)
        ran.append("went on")

    events = await events_of(node_graph(node), asks_for(), rules=HALTING)
    assert events[-1] == VIOLATION
    assert ran == []


# Where there are no rules


async def test_without_rules_and_beside_an_app_with_rules_every_tool_runs() -> None:
    ours = await RunnableAgent.load(search, name="kit:it", shapes=Shapes(), tools=RULES)
    events = await events_of(node_graph(ToolNode([search])), asks_for(call("search")), rules=None)
    assert answers(events) == [("call-1", "success", "found x")]
    free = await events_of(node_graph(ToolNode([rename])), asks_for(call("mv")), rules=None)
    assert answers(free) == [("call-1", "success", "moved")]
    await ours.close()


@tool("mv")
def rename(path: str) -> str:
    """Rename."""
    return "moved"


async def test_a_call_that_belongs_to_no_run_is_held_to_the_rules_of_the_agent_that_is_loaded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = await RunnableAgent.load(search, name="kit:it", shapes=Shapes(), tools=RULES)
    assert search.invoke({"query": "x"}) == "found x"
    with pytest.raises(ToolException, match="not allowed"):
        rename.invoke({"path": "/"})
    assert [record.message for record in caplog.records] == ["tool call refused"]
    await agent.close()
    assert rename.invoke({"path": "/"}) == "moved"


async def test_a_context_without_a_run_allows_everything() -> None:
    agent = await RunnableAgent.load(search, name="kit:it", shapes=Shapes(), tools=RULES)
    assert StreamContext().bind(rename.invoke)({"path": "/"}) == "moved"
    thread = threading.Thread(target=StreamContext().bind(rename.invoke), args=({"path": "/"},))
    thread.start()
    thread.join(5)
    await agent.close()
