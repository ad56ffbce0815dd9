"""What AG-UI's own package says of our events: each fits its schemas, and has no field that they do not know."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dockrion.events.model import Batch, Cancelled, Custom, Event, Failed, Started, Step
from dockrion.testing import read_sse
from dockrion.wires.ag_ui.events import AgUiWire, Told
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

CLIENTS = Path(__file__).parents[2] / "clients"
STATES = [
    Custom("state", {"a": 1}),
    Custom("state_delta", [{"op": "replace", "path": "/a", "value": 2}]),
    Custom("mine", {"x": 1}),
]
SAID: list[Event] = [*EVERYTHING[:-1], *STATES]
# Of a graph, whose output is a state.
GRAPH: list[Event] = [Started("a", "langgraph"), Step("node"), EVERYTHING[-1]]
STREAMS: list[list[Event]] = [
    [*SAID, EVERYTHING[-1]],
    [*SAID, Failed("no", "TIMEOUT")],
    [*SAID, Cancelled("left")],
    GRAPH,
]
KINDS = {
    "CUSTOM",
    "RUN_ERROR",
    "RUN_FINISHED",
    "RUN_STARTED",
    "STATE_DELTA",
    "STATE_SNAPSHOT",
    "STEP_FINISHED",
    "STEP_STARTED",
    "TEXT_MESSAGE_CONTENT",
    "TEXT_MESSAGE_END",
    "TEXT_MESSAGE_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_END",
    "TOOL_CALL_RESULT",
    "TOOL_CALL_START",
}


def told(events: list[Event], *, pauses: bool = False) -> list[Any]:
    wire = AgUiWire(chat_of(), run_of(cursors=True), Told("t", "r"))
    body = wire.encode(Batch(events, 0, TIME)) + (wire.paused() if pauses else b"")
    return [json.loads(event.data) for event in read_sse(body)]


def checked(streams: list[list[Any]]) -> dict[str, Any]:
    ran = subprocess.run(
        ["node", "ag-ui-schemas.mjs"],
        cwd=CLIENTS,
        input=json.dumps(streams),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.node
def test_events_of_every_kind_fit_the_schemas() -> None:
    asks = EVERYTHING[: [type(event).__name__ for event in EVERYTHING].index("Interrupt") + 1]
    found = checked([*map(told, STREAMS), told(asks, pauses=True)])
    assert found["wrong"] == []
    assert set(found["kinds"]) == KINDS


@pytest.mark.node
def test_what_does_not_fit_is_found() -> None:
    outcome = {"type": "success", "mine": 1}
    strange = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "outcome": outcome, "own": 1}
    found = checked([[strange], [{"type": "STEP_STARTED"}]])
    assert found["wrong"][:2] == ["RUN_FINISHED.outcome.mine", "RUN_FINISHED.own"]
    assert found["wrong"][2].startswith("STEP_STARTED: ")
