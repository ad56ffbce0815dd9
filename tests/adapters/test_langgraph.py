"""LangGraph graphs as agents: what streams, in which order, and what stops."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any, TypedDict

import anyio
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from pydantic import BaseModel

from dockrion.events.context import get_current_context
from dockrion.events.model import (
    Complete,
    Custom,
    Progress,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.events.outbox import SOFT_EVENTS
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.output import OutputRules
from dockrion.testing import app_for, post, running
from tests.adapters.graphs import (
    QUERY,
    Endless,
    State,
    Whole,
    agent_of,
    async_talk,
    events_of,
    graph_of,
    speaker,
    spoken,
    sync_model_on_the_loop,
    sync_talk,
)
from tests.runs.kit import next_batch, read_to_end, runner_for_agent, tokens


async def test_tokens_of_models_in_async_and_sync_nodes_subgraphs_and_parallel_branches() -> None:
    inner = graph_of(sync_talk, async_talk, sync_model_on_the_loop)

    async def other(state: State) -> dict[str, Any]:
        return {"notes": [str((await speaker("other branch").ainvoke("hi")).content)]}

    events = await events_of(graph_of(inner, other, parallel=True))

    assert spoken(events) == {
        "sync_talk": "sync words",
        "async_talk": "async words",
        "sync_model_on_the_loop": "words on the loop",
        "other": "other branch",
    }
    # Each message has an id of its own, whichever branch speaks between its tokens.
    ids = {event.message_id for event in events if isinstance(event, Token)}
    assert len(ids) == 4
    assert None not in ids


async def test_the_output_is_the_final_state_or_the_keys_of_the_schema_when_all_are_there() -> None:
    graph = graph_of(async_talk)
    for keys, output in [
        ((), {"query": "q", "notes": ["async words"]}),
        (("notes",), {"notes": ["async words"]}),
        (("notes", "absent"), {"query": "q", "notes": ["async words"]}),
    ]:
        events = await events_of(graph, output_keys=keys)
        assert isinstance(events[-1], Complete)
        assert events[-1].output == output


async def test_the_output_is_what_the_output_schema_of_the_graph_lets_out() -> None:
    class Out(TypedDict):
        notes: list[str]

    builder = StateGraph(State, output_schema=Out)
    builder.add_node(async_talk)
    builder.add_edge(START, "async_talk")

    events = await events_of(builder.compile())

    assert isinstance(events[-1], Complete)
    assert events[-1].output == {"notes": ["async words"]}


@pytest.mark.parametrize(
    ("text_key", "output"), [("content", {"content": "Q"}), ("said", {"said": "Q"}), (None, "Q")]
)
async def test_text_of_the_functional_api_goes_where_joined_tokens_go(
    text_key: str | None, output: Any
) -> None:
    @entrypoint()
    async def shout(payload: dict[str, str]) -> str:
        return payload["query"].upper()

    agent = await agent_of(shout, text_key=text_key)
    rules = OutputRules(
        {"type": "string"} if text_key is None else None, strict=True, max_bytes=1000
    )
    with anyio.fail_after(10):
        run = runner_for_agent(agent, output=rules).start({"query": "q"}, streams=True)
        events: list[Any] = await read_to_end(run)
    assert events[-1].output == output


async def test_any_type_of_state() -> None:
    class Model(BaseModel):
        query: str = ""
        answer: str = ""

    def answers(state: Model) -> dict[str, Any]:
        return {"answer": state.query.upper()}

    events = await events_of(graph_of(answers, state=Model), {"query": "q"})

    assert events[-1].output == {"query": "q", "answer": "Q"}
    [step] = [event for event in events if isinstance(event, Step)]
    assert step.input_keys == ["query", "answer"]
    assert step.output_keys == ["answer"]


async def test_what_a_node_writes_and_emits_keeps_its_order() -> None:
    async def node(state: State) -> dict[str, Any]:
        write, context = get_stream_writer(), get_current_context()
        assert context is not None
        write("w1")
        await context.emit_token("e1")
        write({"type": "progress", "step": "half", "progress": 0.5})
        await context.emit("found", {"n": 1})
        write({"anything": "else"})
        write({"type": "custom:seen", "data": {"n": 2}})
        return {}

    def in_thread(state: State) -> dict[str, Any]:
        context = get_current_context()
        assert context is not None
        for number in range(50):
            get_stream_writer()(f"w{number} ")
            context.sync_emit_token(f"e{number} ")
        return {}

    events = await events_of(graph_of(node, graph_of(in_thread)))
    made = [event for event in events if isinstance(event, Token | Progress | Custom)]

    assert made[:6] == [
        Token("w1", node="node"),
        Token("e1"),
        Progress("half", 0.5, None),
        Custom("found", {"n": 1}),
        Custom("data", {"anything": "else"}),
        Custom("seen", {"n": 2}),
    ]
    assert "".join(tokens(made[6:])) == "".join(f"w{n} e{n} " for n in range(50))


async def test_steps_come_when_a_node_ends_with_their_keys() -> None:
    events = await events_of(graph_of(async_talk, graph_of(sync_talk)))
    kinds = [event.node_name for event in events if isinstance(event, Step)]
    assert kinds == ["async_talk", "sync_talk", "graph_1"]
    first = next(event for event in events if isinstance(event, Step))
    assert (first.input_keys, first.output_keys) == (["query", "notes"], ["notes"])
    assert first.duration_ms is not None
    assert first.duration_ms > 0
    # After its own tokens, before those of the next node.
    place = events.index(first)
    assert spoken(events[:place]) == {"async_talk": "async words"}
    assert "sync_talk" in spoken(events[place:])


async def test_a_graph_with_the_name_of_its_node_is_one_step() -> None:
    builder = StateGraph(State)
    builder.add_node("expert", graph_of(async_talk, name="expert"))
    builder.add_edge(START, "expert")

    events = await events_of(builder.compile())

    assert [event.node_name for event in events if isinstance(event, Step)] == [
        "async_talk",
        "expert",
    ]


async def test_tool_calls_and_their_results() -> None:
    @tool
    def double(number: int) -> int:
        """Double it."""
        return 2 * number

    @tool
    async def breaks(number: int) -> int:
        """Raise."""
        raise ValueError("no such number in /home/somebody/data.txt")

    async def calls(state: State) -> dict[str, Any]:
        await double.ainvoke({"number": 21})
        with pytest.raises(ValueError, match="no such"):
            await breaks.ainvoke({"number": 1})
        return {}

    events = await events_of(graph_of(calls))
    called = [event for event in events if isinstance(event, ToolCall)]
    results = [event for event in events if isinstance(event, ToolResult)]

    assert [(call.tool, call.arguments) for call in called] == [
        ("double", {"number": 21}),
        ("breaks", {"number": 1}),
    ]
    assert [result.call_id for result in results] == [call.call_id for call in called]
    assert (results[0].output, results[0].error) == (42, None)
    assert (results[1].output, results[1].error) == (
        None,
        "ValueError: no such number in data.txt",
    )


async def test_tools_of_a_tool_node_have_the_ids_that_the_model_gave() -> None:
    @tool
    def look_up(word: str) -> str:
        """Look it up."""
        return f"{word}: found"

    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([look_up]))
    builder.add_edge(START, "tools")
    asked = {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "call_7", "name": "look_up", "args": {"word": "x"}, "type": "tool_call"}
        ],
    }
    events = await events_of(builder.compile(), {"messages": [asked]})

    [call] = [event for event in events if isinstance(event, ToolCall)]
    [result] = [event for event in events if isinstance(event, ToolResult)]
    assert (call.tool, call.call_id, call.arguments) == ("look_up", "call_7", {"word": "x"})
    assert (result.call_id, result.output) == ("call_7", "x: found")


async def test_a_tool_that_changes_the_state_has_its_message_as_result() -> None:
    @tool
    def hand_over(call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        """Hand over."""
        told = ToolMessage("handed over", tool_call_id=call_id)
        return Command(update={"messages": [HumanMessage("all so far"), told]})

    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([hand_over]))
    builder.add_edge(START, "tools")
    asked = AIMessage("", tool_calls=[{"id": "call_7", "name": "hand_over", "args": {}}])
    events = await events_of(builder.compile(), {"messages": [asked]})

    [result] = [event for event in events if isinstance(event, ToolResult)]
    assert (result.call_id, result.output, result.error) == ("call_7", "handed over", None)


async def test_a_model_that_does_not_stream_gives_one_token() -> None:
    async def node(state: State) -> dict[str, Any]:
        await Whole().ainvoke("hi")
        return {}

    [token] = [e for e in await events_of(graph_of(node)) if isinstance(e, Token)]
    assert token == Token("all at once", None, "node", "m1")


async def test_only_the_wanted_nodes_speak_and_what_is_tagged_nostream_never() -> None:
    async def hidden(state: State) -> dict[str, Any]:
        await speaker("a secret thought").with_config(tags=["nostream"]).ainvoke("hi")
        return {}

    graph = graph_of(graph_of(sync_talk), async_talk, hidden)

    assert set(spoken(await events_of(graph))) == {"sync_talk", "async_talk"}
    only = frozenset({"async_talk"})
    assert set(spoken(await events_of(graph, nodes=only))) == {"async_talk"}
    # A node that is a graph speaks for all that is in it.
    assert set(spoken(await events_of(graph, nodes=frozenset({"graph_0"})))) == {"sync_talk"}


async def test_events_that_are_not_allowed_are_not_sent() -> None:
    async def node(state: State) -> dict[str, Any]:
        get_stream_writer()({"type": "progress", "step": "s", "progress": 1})
        get_stream_writer()({"x": 1})
        return await async_talk(state)

    events = await events_of(graph_of(node), allowed="chat")
    assert {type(event) for event in events[1:-1]} == {Token}


# Reading slowly, and leaving


@pytest.mark.parametrize("sync", [False, True], ids=["async node", "sync node"])
async def test_a_model_waits_for_a_slow_reader_and_stops_when_it_leaves(sync: bool) -> None:
    model = Endless(given=[0])
    after: list[str] = []

    async def on_loop(state: State) -> dict[str, Any]:
        await model.ainvoke("hi")
        return {}

    def in_thread(state: State) -> dict[str, Any]:
        model.invoke("hi")
        return {}

    def next_node(state: State) -> dict[str, Any]:
        after.append("ran")
        return {}

    agent = await agent_of(graph_of(in_thread if sync else on_loop, next_node))
    runner = runner_for_agent(agent)
    run = runner.start(QUERY, streams=True)
    with anyio.fail_after(20):
        await next_batch(run)
        while model.given[0] < SOFT_EVENTS:
            await asyncio.sleep(0.001)
        # It has met the bound: time alone moves it no more.
        await asyncio.sleep(0.05)
        assert model.given[0] <= SOFT_EVENTS + 2
        run.stop(CALLER_LEFT)
        while runner.active:
            await run.next()
        stopped_at = model.given[0]
        await asyncio.sleep(0.05)
    assert model.given[0] <= stopped_at + 2
    assert after == []


async def test_nothing_new_starts_after_the_caller_has_left_a_node_that_blocks() -> None:
    entered, may_end, ended = threading.Event(), threading.Event(), threading.Event()
    after: list[str] = []

    def blocks(state: State) -> dict[str, Any]:
        entered.set()
        may_end.wait(10)
        try:
            get_stream_writer()("too late")
        finally:
            ended.set()
        after.append("wrote")
        return {}

    def next_node(state: State) -> dict[str, Any]:
        after.append("ran")
        return {}

    run = runner_for_agent(await agent_of(graph_of(blocks, next_node))).start(QUERY, streams=True)
    with anyio.fail_after(10):
        await next_batch(run)
        await asyncio.to_thread(entered.wait, 5)
        run.stop(CALLER_LEFT)
        # The end does not wait for the node.
        assert (await next_batch(run)).is_last
        may_end.set()
        assert await asyncio.to_thread(ended.wait, 5)
        # What it would start next needs some turns of the loop.
        await asyncio.sleep(0.1)
    assert after == []


async def test_two_hundred_graphs_with_sync_nodes_work_at_once() -> None:
    together = threading.Barrier(200)

    def meets(state: State) -> dict[str, Any]:
        together.wait(15)
        return {"notes": ["met"]}

    app = app_for(await agent_of(graph_of(meets)), expose={"limits": {"threads": 220}})

    async def call() -> list[str]:
        async with post(app, "/invoke/stream", QUERY) as exchange:
            return [event.event async for event in exchange.events()]

    async with running(app):
        with anyio.fail_after(20):
            streams = await asyncio.gather(*(call() for _ in range(200)))
    assert streams == [["started", "step", "complete"]] * 200
