"""Tools that a model calls and the Dockfile does not allow: they do not run, and the model is told."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import (
    BaseTool,
    tool,
)
from langgraph.graph import MessagesState
from langgraph.prebuilt import (
    ToolNode,
    create_react_agent,  # pyright: ignore[reportDeprecated]
)

from dockrion.events.model import Policy, ToolCall
from tests.adapters.forbidden import (
    ANSWER,
    REFUSAL,
    SENTENCE,
    answers,
    asks_for,
    call,
    events_of,
    every_kind,
    node_graph,
    ran,
    rm,
    rm_with_state,
    search,
    told,
)


@every_kind
async def test_a_tool_node_answers_the_model_with_an_error(forbidden: BaseTool) -> None:
    events = await events_of(node_graph(ToolNode([forbidden])), asks_for(call("rm")))
    assert answers(events) == [ANSWER]
    assert told(events) == REFUSAL


@every_kind
async def test_a_tool_node_in_a_thread_answers_the_model_with_an_error(forbidden: BaseTool) -> None:
    tools = ToolNode([forbidden])

    def node(state: MessagesState, config: RunnableConfig) -> Any:
        return tools.invoke(state, config)

    events = await events_of(node_graph(node), asks_for(call("rm")))
    assert answers(events) == [ANSWER]
    assert told(events) == REFUSAL


async def test_arguments_that_do_not_fit_do_not_matter() -> None:
    events = await events_of(node_graph(ToolNode([rm])), asks_for(call("rm", self=1, wrong=2)))
    assert answers(events) == [ANSWER]


@pytest.mark.parametrize("handle", [False, True, "no", lambda e: f"handled {e}", (ValueError,)])
async def test_however_a_tool_node_handles_errors(handle: Any) -> None:
    node = ToolNode([rm], handle_tool_errors=handle)
    assert answers(await events_of(node_graph(node), asks_for(call("rm")))) == [ANSWER]


async def test_wrapped_calls_are_refused_too() -> None:
    async def wrap(request: Any, execute: Any) -> Any:
        return await execute(request)

    node = ToolNode([rm], awrap_tool_call=wrap)
    assert answers(await events_of(node_graph(node), asks_for(call("rm")))) == [ANSWER]


async def test_of_calls_side_by_side_those_that_are_allowed_run() -> None:
    calls = asks_for(call("rm", 1), call("search", 2), call("rm", 3))
    events = await events_of(node_graph(ToolNode([search, rm])), calls)
    assert answers(events) == [
        ANSWER,
        ("call-2", "success", "found x"),
        ("call-3", "error", SENTENCE),
    ]
    assert ran == ["search"]
    assert sum(isinstance(event, Policy) for event in events) == 2


async def test_in_subgraphs() -> None:
    inner = node_graph(ToolNode([rm]))
    events = await events_of(node_graph(node_graph(inner)), asks_for(call("rm")))
    assert answers(events) == [ANSWER]
    assert told(events) == REFUSAL


async def test_in_a_graph_that_a_node_calls_without_a_config() -> None:
    inner = node_graph(ToolNode([rm]))

    async def node(state: MessagesState) -> Any:
        return await inner.ainvoke({"messages": state["messages"]}, {"callbacks": []})

    events = await events_of(node_graph(node), asks_for(call("rm")))
    assert answers(events) == [ANSWER]
    assert sum(isinstance(event, Policy) for event in events) == 1


async def test_in_a_graph_that_an_allowed_tool_calls() -> None:
    inner = node_graph(ToolNode([rm]))

    @tool("search")
    async def helper(query: str) -> str:
        """Ask another agent."""
        ran.append("search")
        return (await inner.ainvoke(asks_for(call("rm"))))["messages"][-1].content  # type: ignore[arg-type]

    events = await events_of(node_graph(ToolNode([helper])), asks_for(call("search")))
    assert answers(events) == [("call-1", "success", SENTENCE)]
    assert ran == ["search"]


class Scripted(BaseChatModel):
    """A model that says one message after the other, and does not stream."""

    says: list[AIMessage]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, *_: Any, **__: Any) -> Any:
        return self

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.says.pop(0))])


async def test_an_agent_goes_on_with_what_it_is_answered() -> None:
    model = Scripted(says=[AIMessage("", tool_calls=[call("rm")]), AIMessage("then not")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        agent = create_react_agent(  # pyright: ignore[reportDeprecated]
            model, [search, rm]
        )
    events = await events_of(agent, {"messages": [("user", "remove it")]})
    assert answers(events) == [ANSWER]
    assert events[-1].output["messages"][-1]["content"] == "then not"


async def test_an_injected_state_is_not_told() -> None:
    events = await events_of(node_graph(ToolNode([rm_with_state])), asks_for(call("rm")))
    [called] = [event for event in events if isinstance(event, ToolCall)]
    assert called.arguments == {"path": "/"}
    assert called.call_id == "call-1"
