"""The graphs under test, for dockrion and for LangGraph alone: one node that gives `n` tokens.

`writer` gives them through the stream writer, `model` through a chat model that is merely invoked.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# As a node that reads a network would: it waits now and then, not for each token.
_TOKENS_A_WAIT = 64


class State(TypedDict):
    n: int
    content: NotRequired[str]


class Speaker(BaseChatModel):
    n: int

    @property
    def _llm_type(self) -> str:
        return "speaker"

    def _generate(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def _astream(
        self,
        messages: Any,  # noqa: ARG002
        stop: Any = None,  # noqa: ARG002
        run_manager: Any = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncIterator[ChatGenerationChunk]:
        for number in range(self.n):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content="token "))
            if run_manager is not None:
                await run_manager.on_llm_new_token("token ", chunk=chunk)
            yield chunk
            if number % _TOKENS_A_WAIT == 0:
                await asyncio.sleep(0)


async def _write(state: State) -> dict[str, str]:
    write = get_stream_writer()
    for number in range(state["n"]):
        write("token ")
        if number % _TOKENS_A_WAIT == 0:
            await asyncio.sleep(0)
    return {"content": "done"}


async def _speak(state: State) -> dict[str, str]:
    await Speaker(n=state["n"]).ainvoke("go")
    return {"content": "done"}


def _graph(node: Any) -> Any:
    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return builder.compile()


writer = _graph(_write)
model = _graph(_speak)
MODES = {"writer": "custom", "model": "messages"}


async def bare(name: str, tokens: int) -> float:
    """Return the CPU seconds of LangGraph's own `astream`, for a million tokens."""
    graph = {"writer": writer, "model": model}[name]
    async for _ in graph.astream({"n": 100}, stream_mode=MODES[name]):
        pass
    began, count = time.process_time(), 0
    async for _ in graph.astream({"n": tokens}, stream_mode=MODES[name]):
        count += 1
    # The end of a model's call is told, too.
    assert count >= tokens, count
    return (time.process_time() - began) / count * 1e6


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(bare(sys.argv[1], int(sys.argv[2]))))
