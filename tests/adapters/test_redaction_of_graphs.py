"""What a graph gives away: models that speak at once, tools, its state, its questions."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import anyio
import pytest
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from dockrion.events.model import Complete, Event, Failed, Interrupt, Token, ToolResult
from dockrion.events.sse import event_fields
from dockrion.policy.outgoing import Outgoing
from tests.adapters.graphs import agent_of, speaker
from tests.runs.kit import read_to_end, runner_for_agent

EMAIL = "jane.doe@mail.example.org"
RULE = r"[\w.]+@[\w.]+\w"


class State(TypedDict):
    notes: Annotated[list[str], operator.add]


@tool
def look_up(who: str) -> str:
    """Find an address."""
    if who == "nobody":
        raise ValueError(f"{EMAIL} is not there")
    return EMAIL


async def ann(state: State) -> dict[str, Any]:
    answer = await speaker(f"Write to {EMAIL} today.").ainvoke("hi")
    return {"notes": [str(answer.content)]}


async def bob(state: State) -> dict[str, Any]:
    await look_up.ainvoke({"who": EMAIL})
    try:
        await look_up.ainvoke({"who": "nobody"})
    except ValueError as exc:
        return {"notes": [str(exc)]}
    return {"notes": []}


def ask(state: State) -> dict[str, Any]:
    interrupt({"send to": EMAIL})
    return {}


def graph(*nodes: Any) -> Any:
    builder = StateGraph(State)
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(START, node.__name__)
    return builder.compile(checkpointer=InMemorySaver())


async def events_of(compiled: Any, *, halt: bool = False, streams: bool = True) -> list[Event]:
    runner = runner_for_agent(await agent_of(compiled), outgoing=Outgoing([RULE], halt=halt))
    with anyio.fail_after(10):
        return await read_to_end(runner.start({"notes": []}, streams=streams))


def seen(events: list[Event]) -> str:
    return repr([event_fields(event) for event in events])


async def test_nothing_of_a_match_leaves_a_graph() -> None:
    events = await events_of(graph(ann, bob, ask))
    assert "jane" not in seen(events)
    assert "mail" not in seen(events)
    assert (
        "".join(e.content for e in events if isinstance(e, Token)) == "Write to [REDACTED] today."
    )
    results = [e for e in events if isinstance(e, ToolResult)]
    assert [(e.output, e.error) for e in results] == [
        ("[REDACTED]", None),
        (None, "ValueError: [REDACTED] is not there"),
    ]
    assert isinstance(events[-1], Interrupt)
    assert events[-1].value == {"send to": "[REDACTED]"}


async def test_nothing_of_a_match_is_in_the_state_that_a_graph_ends_with() -> None:
    last = (await events_of(graph(ann, bob), streams=False))[-1]
    assert isinstance(last, Complete)
    assert sorted(last.output["notes"]) == ["Write to [REDACTED] today.", "[REDACTED] is not there"]


@pytest.mark.parametrize("node", [ann, bob, ask])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_match_halts_a_graph(node: Any, streams: bool) -> None:
    events = await events_of(graph(node), halt=True, streams=streams)
    assert "jane" not in seen(events)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "POLICY_VIOLATION"
