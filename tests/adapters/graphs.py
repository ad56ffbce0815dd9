"""Graphs and models for the adapters' tests; the models are LangChain's own, without a network."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, TypedDict

import anyio
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import START, StateGraph

from dockrion.adapters.langgraph import GraphAgent
from dockrion.adapters.shapes import Shapes
from dockrion.events.model import Event, Token
from tests.runs.kit import read_to_end, runner_for_agent


class State(TypedDict):
    query: str
    notes: Annotated[list[str], operator.add]


def speaker(text: str, **options: Any) -> FakeListChatModel:
    """A model that streams `text` a character at a time."""
    return FakeListChatModel(responses=[text], **options)


class Whole(BaseChatModel):
    """A model that does not stream."""

    @property
    def _llm_type(self) -> str:
        return "whole"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage("all at once", id="m1"))])


class Endless(BaseChatModel):
    """A model that streams until it is stopped; `given` counts its tokens."""

    given: list[int]

    @property
    def _llm_type(self) -> str:
        return "endless"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise AssertionError("it is to be streamed")

    def _chunk(self) -> ChatGenerationChunk:
        self.given[0] += 1
        return ChatGenerationChunk(message=AIMessageChunk(content="token "))

    def _stream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        while True:
            chunk = self._chunk()
            if run_manager is not None:
                run_manager.on_llm_new_token("token ", chunk=chunk)
            yield chunk

    async def _astream(
        self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        while True:
            chunk = self._chunk()
            if run_manager is not None:
                await run_manager.on_llm_new_token("token ", chunk=chunk)
            yield chunk
            await asyncio.sleep(0)


def graph_of(
    *nodes: Any, parallel: bool = False, state: Any = State, **compile_options: Any
) -> Any:
    """Compile a graph of functions or graphs, one after the other or all at once."""
    builder = StateGraph(state)
    before: Any = START
    for number, node in enumerate(nodes):
        name = getattr(node, "__name__", None) or f"graph_{number}"
        builder.add_node(name, node)
        builder.add_edge(before, name)
        before = START if parallel else name
    return builder.compile(**compile_options)


async def agent_of(graph: Any, **shapes: Any) -> GraphAgent:
    return await GraphAgent.load(graph, name="kit:graph", shapes=Shapes(**shapes))


def spoken(events: list[Event]) -> dict[str | None, str]:
    """Return the text of each node's tokens."""
    texts: dict[str | None, str] = {}
    for event in events:
        if isinstance(event, Token):
            texts[event.node] = texts.get(event.node, "") + event.content
    return texts


QUERY = {"query": "q", "notes": []}


async def events_of(
    graph: Any, payload: Any = QUERY, *, allowed: Any = None, **shapes: Any
) -> list[Any]:
    agent = await agent_of(graph, **shapes)
    with anyio.fail_after(20):
        run = runner_for_agent(agent, allowed=allowed).start(payload, streams=True)
        return await read_to_end(run)


async def async_talk(state: State) -> dict[str, Any]:
    return {"notes": [str((await speaker("async words").ainvoke("hi")).content)]}


def sync_talk(state: State) -> dict[str, Any]:
    return {"notes": [str(speaker("sync words").invoke("hi").content)]}


async def sync_model_on_the_loop(state: State) -> dict[str, Any]:
    return {"notes": [str(speaker("words on the loop").invoke("hi").content)]}
