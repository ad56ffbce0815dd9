"""The graph: retrieve, rank, answer."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, tool
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph

from docs_assistant.answers import (
    NOTHING_FOUND,
    Source,
    numbered,
    quotes,
    source_list,
    sources_of,
)
from docs_assistant.index import Index
from docs_assistant.passages import Passage, read_passages

_HERE = Path(__file__).parent.parent
_FOUND = 8
_KEPT = 3
# A passage is quoted when its section speaks of so much of the question, and it is worth so much of the best one.
_ENOUGH = 0.5
_NEAR_THE_BEST = 0.5
_INSTRUCTIONS = (
    "Answer the question from the numbered passages alone, in a few sentences. Put the number of a passage, "
    "such as [1], behind what you take from it. If they do not answer the question, say so."
)


class Found(Passage):
    score: float


class State(TypedDict, total=False):
    question: str
    found: list[Found]
    passages: list[Found]
    answer: str
    sources: list[Source]


def assistant(docs: Sequence[str], *, pace_seconds: float = 0, model: str = "") -> Any:
    """Make the graph that the Dockfile names, from its `arguments`; paths are those of the Dockfile's folder."""
    index = Index(read_passages(_HERE / path for path in docs))
    return build_graph(index, model=_configured_model(model), pace_seconds=pace_seconds)


def build_graph(
    index: Index, *, model: BaseChatModel | None = None, pace_seconds: float = 0
) -> Any:
    """Compile the graph. Without a model it answers in quotes, a word each `pace_seconds`."""
    search = search_tool(index)

    async def retrieve(state: State) -> State:
        return {"found": await search.ainvoke({"question": state.get("question", "")})}

    def rank(state: State) -> State:
        return {"passages": best_passages(state.get("question", ""), state.get("found", []), index)}

    async def answer(state: State) -> State:
        question, passages = state.get("question", ""), state.get("passages", [])
        if not passages:
            return {"answer": await _say(NOTHING_FOUND, pace_seconds), "sources": []}
        sources = sources_of(passages)
        if model is None:
            said = [await _say(quote, pace_seconds) for quote in quotes(question, passages, index)]
            text = "".join(said)
        else:
            text = await _ask(model, question, passages) + await _say("\n\n", 0)
        return {"answer": text + await _say(source_list(sources), 0), "sources": sources}

    graph = StateGraph(State)
    for name, node in (("retrieve", retrieve), ("rank", rank), ("answer", answer)):
        graph.add_node(name, node)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "rank")
    graph.add_edge("rank", "answer")
    graph.add_edge("answer", END)
    return graph.compile()


def search_tool(index: Index) -> BaseTool:
    @tool
    def search_docs(question: str) -> list[Found]:
        """Find the passages of the documents that speak of the question, best first."""
        return [
            Found(**passage, score=score) for passage, score in index.search(question, limit=_FOUND)
        ]

    return search_docs


def best_passages(question: str, found: Sequence[Found], index: Index) -> list[Found]:
    """Return the few passages to quote, best first; none when no section speaks of enough of the question."""
    ranked: list[tuple[float, Found]] = []
    for one in found:
        # What ends in a colon only announces what comes next.
        if index.coverage(question, one) >= _ENOUGH and not one["text"].endswith(":"):
            own = index.overlap(question, f"{one['heading']}\n{one['text']}")
            ranked.append((own * one["score"], one))
    ranked.sort(key=lambda pair: -pair[0])
    return [one for worth, one in ranked if worth >= ranked[0][0] * _NEAR_THE_BEST][:_KEPT]


async def _say(text: str, pace_seconds: float) -> str:
    """Stream `text`, a word at a time; return it."""
    write = get_stream_writer()
    for word in re.findall(r"\s*\S+\s*", text) or [text]:
        write(word)
        if pace_seconds:
            await asyncio.sleep(pace_seconds)
    return text


async def _ask(model: BaseChatModel, question: str, passages: Sequence[Passage]) -> str:
    reply = await model.ainvoke(
        [
            ("system", f"{_INSTRUCTIONS}\n\n{numbered(passages)}"),
            ("user", question),
        ]
    )
    return str(reply.text)


def _configured_model(name: str) -> BaseChatModel | None:
    """Return the chat model of an OpenAI-compatible endpoint, when the environment names one or has a key."""
    base_url, api_key = os.environ.get("OPENAI_BASE_URL"), os.environ.get("OPENAI_API_KEY")
    if not (base_url or api_key):
        return None
    try:
        openai: Any = importlib.import_module("langchain_openai")
    except ModuleNotFoundError as exc:
        raise RuntimeError(
            "OPENAI_BASE_URL or OPENAI_API_KEY is set, and a chat model needs langchain-openai; "
            "pip install langchain-openai, or unset both for answers in quotes"
        ) from exc
    # Servers on one's own machine ask for no key, the client library does.
    return openai.ChatOpenAI(model=name, base_url=base_url or None, api_key=api_key or "none")
