"""Spans and usage of what LangGraph and LangChain do."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry import trace

from dockrion.adapters.langchain import RunnableAgent
from dockrion.adapters.shapes import Shapes
from dockrion.adapters.usage import usage_of
from dockrion.runs.observer import Unobserved
from dockrion.telemetry.base import Usage
from tests.adapters.graphs import QUERY, State, agent_of, graph_of, speaker
from tests.runs.kit import read_to_end, runner_for_agent
from tests.telemetry.recording import Recorded


class Adding(Unobserved):
    def __init__(self) -> None:
        self.usage = Usage()
        self.calls = 0

    def used(self, usage: Usage) -> None:
        self.usage += usage
        self.calls += 1


async def traced(agent: Any, payload: Any = QUERY, **options: Any) -> Recorded:
    recorded = Recorded()
    runner = runner_for_agent(agent, tracer=recorded.tracer, **options)
    await read_to_end(runner.start(payload, streams=True))
    return recorded


def here() -> str:
    """Return the span that something would be a child of."""
    return f"{trace.get_current_span().get_span_context().span_id:x}"


@tool
def look(number: int) -> str:
    """Look."""
    return here()


@tool
async def fail(number: int) -> str:
    """Fail."""
    raise ValueError("no such number")


async def talk(state: State) -> dict[str, Any]:
    before = here()
    model = speaker("hello")
    said = [chunk async for chunk in model.astream("hi")]
    assert len(said) == 5
    # What goes on is not below the model any more.
    return {"notes": [before, here(), await look.ainvoke({"number": 1})]}


def talk_in_a_thread(state: State) -> dict[str, Any]:
    before = here()
    speaker("hello").invoke("hi")
    return {"notes": [before, here(), look.invoke({"number": 1})]}


@pytest.mark.parametrize("node", [talk, talk_in_a_thread])
async def test_models_and_tools_are_below_their_node_and_code_is_where_it_is(node: Any) -> None:
    recorded = await traced(await agent_of(graph_of(node)))

    name = node.__name__
    below = [["chat"], ["execute_tool look"]]
    assert recorded.tree() == [["invoke_agent test", [[f"node {name}", below]]]]


async def test_what_code_finds_as_the_current_span_is_true_before_and_after_a_call() -> None:
    found: list[Any] = []

    async def node(state: State) -> dict[str, Any]:
        found.extend((await talk(state))["notes"])
        return {"notes": []}

    recorded = await traced(await agent_of(graph_of(node)))

    at_node = f"{recorded.one('node node').span_id:x}"
    assert found == [at_node, at_node, f"{recorded.one('execute_tool look').span_id:x}"]


async def test_nodes_one_after_the_other_and_side_by_side_are_siblings() -> None:
    async def one(state: State) -> dict[str, Any]:
        await speaker("a").ainvoke("hi")
        return {"notes": []}

    async def two(state: State) -> dict[str, Any]:
        await asyncio.gather(*(look.ainvoke({"number": n}) for n in range(2)))
        return {"notes": []}

    in_a_row = await traced(await agent_of(graph_of(one, two)))
    at_once = await traced(await agent_of(graph_of(one, two, parallel=True)))

    nodes = [
        ["node one", [["chat"]]],
        ["node two", [["execute_tool look"], ["execute_tool look"]]],
    ]
    assert in_a_row.tree() == [["invoke_agent test", nodes]]
    [[_, side_by_side]] = at_once.tree()
    assert sorted(side_by_side) == nodes


async def test_a_graph_in_a_node_is_below_it() -> None:
    recorded = await traced(await agent_of(graph_of(graph_of(talk))))
    [[_, [[outer, [[inner, _]]]]]] = recorded.tree()
    assert (outer, inner) == ("node graph_0", "node talk")


async def test_what_fails_says_so_without_the_text_of_the_exception() -> None:
    async def node(state: State) -> dict[str, Any]:
        await fail.ainvoke({"number": 1})
        return {"notes": []}

    recorded = await traced(await agent_of(graph_of(node)), secrets=["no such number"])

    for name in ("execute_tool fail", "node node"):
        span = recorded.one(name)
        assert span.attributes["error.type"] == "ValueError"
        assert span.status is not None
        assert "no such number" not in str(span.status.description)


async def test_a_model_that_streams_says_when_it_began_to_speak() -> None:
    recorded = await traced(await agent_of(graph_of(talk)))
    attributes = recorded.one("chat").attributes
    first = attributes["gen_ai.response.time_to_first_chunk"]
    assert isinstance(first, float)
    assert first >= 0
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.operation.name"] == "chat"


async def test_a_runnable_has_spans_of_its_models() -> None:
    chain = RunnableLambda(lambda x: str(x)) | FakeListChatModel(responses=["hello"])
    agent = await RunnableAgent.load(chain, name="kit:chain", shapes=Shapes())
    recorded = await traced(agent, {"q": "hi"})
    assert recorded.tree() == [["invoke_agent test", [["chat"]]]]


async def test_usage_is_counted_once_and_summed_over_the_run() -> None:
    class Telling(FakeListChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            result = super()._generate(*args, **kwargs)
            message: Any = result.generations[0].message
            message.usage_metadata = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
            return result

        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        def _should_stream(self, **_: Any) -> bool:
            return False

    async def node(state: State) -> dict[str, Any]:
        await Telling(responses=["a"]).ainvoke("hi")
        await asyncio.to_thread(Telling(responses=["b"]).invoke, "hi")
        # That nobody is to see does not make it free.
        await Telling(responses=["c"]).ainvoke("hi", config={"tags": ["nostream"]})
        return {"notes": []}

    adding = Adding()
    recorded = await traced(await agent_of(graph_of(node)), observer=adding)

    assert (adding.calls, adding.usage) == (3, Usage(input=21, output=9))
    run = recorded.one("invoke_agent test").attributes
    assert (run["gen_ai.usage.input_tokens"], run["gen_ai.usage.output_tokens"]) == (21, 9)


def answered(message: AIMessage | None = None, **told: Any) -> LLMResult:
    one = Generation(text="x") if message is None else ChatGeneration(message=message)
    return LLMResult(generations=[[one]], llm_output=told or None)


AGREED: Any = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}


@pytest.mark.parametrize(
    ("response", "usage"),
    [
        (answered(), None),
        (answered(AIMessage("x")), None),
        (answered(AIMessage("x", usage_metadata=AGREED)), Usage(input=10, output=4)),
        (
            answered(
                AIMessage(
                    "x",
                    usage_metadata={
                        **AGREED,
                        "input_token_details": {"cache_read": 6, "cache_creation": 1, "audio": 2},
                        "output_token_details": {"reasoning": 3},
                    },
                )
            ),
            Usage(input=10, output=4, cache_read=6, cache_write=1, reasoning=3),
        ),
        # Of older integrations, and text models.
        (
            answered(
                token_usage={
                    "prompt_tokens": 8,
                    "completion_tokens": 2,
                    "prompt_tokens_details": {"cached_tokens": 5},
                    "completion_tokens_details": {"reasoning_tokens": 1},
                }
            ),
            Usage(input=8, output=2, cache_read=5, reasoning=1),
        ),
        (answered(usage={"input_tokens": 8, "output_tokens": 2}), Usage(input=8, output=2)),
        # Both: one call is not counted twice.
        (
            answered(
                AIMessage("x", usage_metadata=AGREED),
                token_usage={"prompt_tokens": 10, "completion_tokens": 4},
            ),
            Usage(input=10, output=4),
        ),
        # OpenRouter, Perplexity, LiteLLM.
        (
            answered(
                AIMessage(
                    "x",
                    usage_metadata=AGREED,
                    response_metadata={"token_usage": {"cost": 0.5}},
                )
            ),
            Usage(input=10, output=4, cost=0.5),
        ),
        (
            answered(
                AIMessage(
                    "x",
                    usage_metadata=AGREED,
                    response_metadata={"usage": {"cost": {"total_cost": 0.25}}},
                )
            ),
            Usage(input=10, output=4, cost=0.25),
        ),
        (
            answered(AIMessage("x", usage_metadata=AGREED, response_metadata={"response_cost": 2})),
            Usage(input=10, output=4, cost=2.0),
        ),
        # What is no count, and no cost, is none: a counter does not go down.
        (
            answered(
                token_usage={"prompt_tokens": -1, "completion_tokens": "4", "cost": float("nan")}
            ),
            Usage(),
        ),
    ],
)
def test_usage_is_what_integrations_tell(response: LLMResult, usage: Usage | None) -> None:
    assert usage_of(response) == usage


async def test_spans_that_a_run_leaves_open_end_with_it() -> None:
    began = threading.Event()

    async def node(state: State) -> dict[str, Any]:
        began.set()
        await asyncio.Event().wait()
        return {"notes": []}

    recorded = Recorded()
    agent = await agent_of(graph_of(node))
    runner = runner_for_agent(agent, tracer=recorded.tracer, max_seconds=0.2)
    await read_to_end(runner.start(QUERY, streams=True))
    while not recorded.named("node node"):
        await asyncio.sleep(0.005)

    assert began.is_set()
    run = recorded.one("invoke_agent test")
    assert run.attributes["error.type"] == "TIMEOUT"
    assert recorded.one("node node").ended_ns
