"""Cancels in every state of a run, from the process that has it and from another one."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .cluster import LEASE_SECONDS, Cluster, Node
from .conftest import AT_NIGHT_ON_REDIS, Pair
from .following import check_run
from .waiting import until

# What a person calls at once; the target is 100 ms, on a machine that does nothing else.
SOON_SECONDS = 0.5

GRAPH = """
from typing import TypedDict
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

class State(TypedDict, total=False):
    answer: str

def ask(state: State) -> State:
    return {"answer": interrupt("Shall I?")}

builder = StateGraph(State)
builder.add_node("ask", ask)
builder.add_edge(START, "ask")
builder.add_edge("ask", END)

def graph():
    return builder.compile(checkpointer=InMemorySaver())
"""


def cancel(node: Node, run_id: str) -> float:
    """Cancel a run; return after how many seconds it has ended."""
    began = time.monotonic()
    answer = node.client.delete(f"{node.url}/runs/{run_id}", params={"reason": "Enough."})
    assert (answer.status_code, answer.json()) == (200, {"run_id": run_id, "status": "CANCELLED"})
    until(lambda: node.status(run_id) == "CANCELLED", "the end")
    seconds = time.monotonic() - began
    last = check_run(node, run_id)[-1]
    assert (last.event, last.data["reason"]) == ("cancelled", "Enough.")
    again = node.client.delete(f"{node.url}/runs/{run_id}")
    assert (again.status_code, again.json()["code"]) == (400, "CONFLICT")
    return seconds


@pytest.mark.parametrize("payload", [{"gate": "never"}, {"question": "Shall I?"}], ids=str)
def test_a_run_is_cancelled_from_where_it_is_and_from_elsewhere(
    pair: Pair, payload: dict[str, Any]
) -> None:
    worker, replica, cluster = pair
    state = "INTERRUPTED" if "question" in payload else "RUNNING"
    for node in (worker, replica):
        run_id = replica.create(payload)
        cluster.started(run_id)
        until(lambda: replica.status(run_id) == state, state)  # noqa: B023
        assert cancel(node, run_id) < SOON_SECONDS
    finished = replica.create({})
    assert replica.ended(finished)["status"] == "COMPLETED"
    answer = replica.client.delete(f"{replica.url}/runs/{finished}")
    assert (answer.status_code, answer.json()["code"]) == (400, "CONFLICT")
    assert not cluster.notes("ended", run_id)


@AT_NIGHT_ON_REDIS
def test_code_that_blocks_in_a_thread_keeps_its_run_and_a_cancel_does_not_wait_for_it(
    cluster: Cluster,
) -> None:
    worker, replica = cluster.start("both", "replica", handler="sync_handle", max_attempts=2)
    blocks_long = replica.create({"block": 1.5 * LEASE_SECONDS, "then": 5})
    for node in (worker, replica):
        run_id = replica.create({"block": 3, "then": 5})
        cluster.started(run_id)
        assert cancel(node, run_id) < SOON_SECONDS
    assert replica.ended(blocks_long)["status"] == "COMPLETED"
    assert len(check_run(replica, blocks_long)) == 7
    assert cluster.starts()[blocks_long] == 1


@AT_NIGHT_ON_REDIS
def test_a_graph_that_waits_for_an_answer_and_that_nobody_has_is_cancelled(
    cluster: Cluster,
) -> None:
    (cluster.folder / "graphs.py").write_text(GRAPH)
    agent = {"entrypoint": "graphs:graph", "framework": "langgraph"}
    [node] = cluster.start("both", agent=agent)
    run_id = node.create({})
    until(lambda: node.status(run_id) == "INTERRUPTED", "the question")
    assert cancel(node, run_id) < SOON_SECONDS
    answer = node.client.post(f"{node.url}/runs/{run_id}/resume", json="yes")
    assert answer.status_code == 409
