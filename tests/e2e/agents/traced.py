"""A graph that calls a model, a tool and the model again; on the way back it may ask a person."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from opentelemetry import propagate


class State(TypedDict):
    asks: bool
    messages: Annotated[list[AnyMessage], add_messages]


class Model(BaseChatModel):
    """Wants the tool until it has its answer."""

    model_name: str = "fable-1"
    temperature: float = 0.5

    @property
    def _llm_type(self) -> str:
        return "fable"

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        wants_tool = messages[-1].type != "tool"
        call = {"name": "look_up", "args": {"number": 7}, "id": "call-1", "type": "tool_call"}
        message = AIMessage(
            content="" if wants_tool else "It is paid.",
            id="answer-1",
            tool_calls=[call] if wants_tool else [],
            usage_metadata={
                "input_tokens": 100,
                "output_tokens": 20,
                "total_tokens": 120,
                "input_token_details": {"cache_read": 40, "cache_creation": 10},
                "output_token_details": {"reasoning": 5},
            },
            response_metadata={
                "model_name": "fable-1-2026-11",
                "finish_reason": "tool_calls" if wants_tool else "stop",
                "token_usage": {"cost": 0.25},
            },
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


@tool
def look_up(number: int) -> str:
    """Look up an invoice."""
    logging.getLogger("invoices").warning("looked up")
    # What an instrumented HTTP client would send.
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier["traceparent"]


async def think(state: State) -> dict[str, Any]:
    return {"messages": [await Model().ainvoke(state["messages"])]}


def answer(state: State) -> dict[str, Any]:
    # Sync, so it runs in a thread of its own.
    return {"messages": [Model().invoke(state["messages"])]}


def confirm(state: State) -> dict[str, Any]:
    return {"messages": [("user", interrupt("May I?"))]} if state["asks"] else {}


@asynccontextmanager
async def build() -> AsyncGenerator[Any]:
    graph = StateGraph(State)
    nodes: dict[str, Any] = {
        "think": think,
        "tools": ToolNode([look_up]),
        "answer": answer,
        "confirm": confirm,
    }
    before = START
    for name, node in nodes.items():
        graph.add_node(name, node)
        graph.add_edge(before, name)
        before = name
    async with AsyncSqliteSaver.from_conn_string("threads.db") as saver:
        yield graph.compile(checkpointer=saver)
