"""The agent: a LangGraph graph that streams its answer word by word.

It runs as it is, without a model or a key: `answer` is where yours goes.
"""

import asyncio
import re
from typing import TypedDict

from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph


class State(TypedDict, total=False):
    query: str
    answer: str


def read(state: State) -> State:
    """Tidy the query up; each node is a `step` event of the stream."""
    return {"query": " ".join(state.get("query", "").split())}


async def answer(state: State) -> State:
    """Write the answer.

    With a chat model, its tokens stream by themselves:

        reply = await model.ainvoke(state["query"])
        return {"answer": reply.text}
    """
    write = get_stream_writer()
    text = f"You asked: {state.get('query', '')}"
    for word in re.findall(r"\S+\s*", text):
        write(word)
        await asyncio.sleep(0.05)  # a model would take about as long
    return {"answer": text}


builder = StateGraph(State)
builder.add_node("read", read)
builder.add_node("answer", answer)
builder.add_edge(START, "read")
builder.add_edge("read", "answer")
builder.add_edge("answer", END)

graph = builder.compile()
