"""Tools of every kind of which one, `rm`, may not run, and what a run tells of them."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import anyio
import pytest
from langchain_core._api import LangChainBetaWarning
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import (
    BaseTool,
    InjectedToolCallId,
    StructuredTool,
    Tool,
    create_retriever_tool,
    tool,
)
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

from dockrion.adapters.base import Agent
from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.langgraph import GraphAgent
from dockrion.adapters.shapes import Shapes
from dockrion.events.model import Complete, Failed, Policy, ToolCall, ToolResult
from dockrion.policy.tools import ToolRules
from tests.runs.kit import read_to_end, runner_for_agent

RULES = ToolRules(allowed=frozenset({"search"}))
HALTING = ToolRules(allowed=frozenset({"search"}), halts=True)
SENTENCE = "The tool 'rm' is not allowed."
VIOLATION = Failed(SENTENCE, "POLICY_VIOLATION", {"tool": "rm"})

# Which tools have run since the last call of `events_of`; the law is that `rm` is never among them.
ran: list[str] = []


@tool
def search(query: str) -> str:
    """Search."""
    ran.append("search")
    return f"found {query}"


@tool
def rm(path: str) -> str:
    """Remove."""
    ran.append("rm")
    return "gone"


@tool("rm")
async def async_rm(path: str) -> str:
    """Remove."""
    ran.append("rm")
    return "gone"


@tool("rm")
def rm_with_state(
    path: str,
    state: Annotated[Any, InjectedState],
    call_id: Annotated[str, InjectedToolCallId],
) -> Command[Any]:
    """Remove, and change the state."""
    ran.append("rm")
    return Command(update={"messages": [ToolMessage("gone", tool_call_id=call_id)]})


@tool("rm", response_format="content_and_artifact")
def rm_with_artifact(path: str) -> tuple[str, list[str]]:
    """Remove."""
    ran.append("rm")
    return "gone", ["artifact"]


@tool("rm")
def rm_with_config(path: str, config: RunnableConfig) -> str:
    """Remove."""
    ran.append("rm")
    return "gone"


def _rm(path: str) -> str:
    ran.append("rm")
    return "gone"


async def _async_rm(path: str) -> str:
    return _rm(path)


class ClassTool(BaseTool):
    name: str = "rm"
    description: str = "Remove."

    def _run(self, path: str) -> str:
        return _rm(path)


class OwnRun(ClassTool):
    """A tool that goes its own way, but tells the callbacks."""

    def run(self, tool_input: Any, *args: Any, callbacks: Any = None, **kwargs: Any) -> Any:
        for handler in callbacks.handlers if hasattr(callbacks, "handlers") else callbacks:
            handler.on_tool_start({"name": self.name}, str(tool_input), run_id=RUN_ID)
        return self._run("x")


RUN_ID: Any = "own"


class Files(BaseRetriever):
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        ran.append("rm")
        return [Document(page_content="secret")]


def _of_a_runnable() -> BaseTool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LangChainBetaWarning)
        return RunnableLambda(_rm).as_tool(
            name="rm", description="Remove.", arg_types={"path": str}
        )


FORBIDDEN: dict[str, BaseTool] = {
    "sync": rm,
    "async": async_rm,
    "state and Command": rm_with_state,
    "artifact": rm_with_artifact,
    "config": rm_with_config,
    "structured": StructuredTool.from_function(_rm, _async_rm, name="rm", description="Remove."),
    "simple": Tool("rm", _rm, "Remove."),
    "simple async": Tool("rm", _rm, "Remove.", coroutine=_async_rm),
    "class": ClassTool(),
    "retriever": create_retriever_tool(Files(), "rm", "Remove."),
    "runnable": _of_a_runnable(),
}
every_kind = pytest.mark.parametrize("forbidden", FORBIDDEN.values(), ids=FORBIDDEN)


def call(name: str, number: int = 1, **arguments: Any) -> dict[str, Any]:
    arguments = arguments or ({"query": "x"} if name == "search" else {"path": "/"})
    return {"name": name, "args": arguments, "id": f"call-{number}", "type": "tool_call"}


def asks_for(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [AIMessage("", tool_calls=calls)]}


def node_graph(node: Any, name: str = "tools") -> Any:
    builder = StateGraph(MessagesState)
    builder.add_node(name, node)
    builder.add_edge(START, name)
    return builder.compile()


async def events_of(
    runnable: Any, payload: Any, *, rules: ToolRules | None = RULES, **options: Any
) -> list[Any]:
    ran.clear()
    kind: Any = GraphAgent if hasattr(runnable, "output_channels") else RunnableAgent
    agent: Agent = await kind.load(runnable, name="kit:it", shapes=Shapes(), tools=rules)
    try:
        with anyio.fail_after(20):
            runner = runner_for_agent(agent, tools=rules, **options)
            events = await read_to_end(runner.start(payload, streams=True))
    finally:
        await agent.close()
    assert "rm" not in ran
    return events


def told(events: list[Any]) -> list[Any]:
    """Return what was told of tools, with what is the same in each run."""
    return [
        (type(event).__name__, event.tool, getattr(event, "error", None))
        for event in events
        if isinstance(event, ToolCall | Policy | ToolResult)
    ]


REFUSAL = [
    ("ToolCall", "rm", None),
    ("Policy", "rm", None),
    ("ToolResult", "rm", SENTENCE),
]


def answers(events: list[Any]) -> list[tuple[str, str, str]]:
    """Return what the model was answered, as the graph's last state has it."""
    assert isinstance(events[-1], Complete), events[-1]
    return [
        (message["tool_call_id"], message["status"], message["content"])
        for message in events[-1].output["messages"]
        if message["type"] == "tool"
    ]


ANSWER = ("call-1", "error", SENTENCE)
