"""MCP, as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.spec import DockSpec
from dockrion.testing import read_sse
from dockrion.wires.base import WireRun
from dockrion.wires.mcp.events import McpWire, Told
from dockrion.wires.mcp.requests import run_name
from dockrion.wires.mcp.rpc import RpcError, asks_in_forms, message_of
from dockrion.wires.mcp.tool import Question, Tool, answer_to, form
from tests.wires.kit import EVERYTHING, TIME, run_of

START = Started("a", "custom")
DONE = Complete({"content": "x"}, 0.1, {})


def tool_of(**sections: Any) -> Tool:
    spec = {"version": "1.0", "agent": {"name": "test", "handler": "a:b"}, "io_schema": {}}
    expose = {"protocols": ["mcp"]}
    return Tool(DockSpec.model_validate({**spec, "expose": expose, **sections}), lambda data: data)


def wire_of(run: WireRun | None = None, **told: Any) -> McpWire:
    known: dict[str, Any] = {"progress_token": "p", **told}
    run = run or run_of()
    return McpWire(tool_of(), run, Told(7, **known), can_be_answered=True, stamp={})


def messages(wire: McpWire, *events: Event) -> list[dict[str, Any]]:
    body = wire.encode(Batch([*events], 0, TIME))
    return [event.json() for event in read_sse(body) if event.data]


def progress(wire: McpWire, *events: Event) -> list[tuple[float, str]]:
    told = messages(wire, *events)
    return [(one["params"]["progress"], one["params"]["message"]) for one in told]


def test_what_happens_is_told_as_progress_that_never_goes_back() -> None:
    assert progress(
        wire_of(),
        START,
        Progress("reading", 0.5),
        Step("node", 1.0),
        Progress("again", 0.2, "really"),
        ToolCall("add", "c", {}),
        ToolResult("add", "c", 3),
        ToolResult("add", "c", None, 1.0, "ValueError: no"),
        Policy("tools", "no tools"),
        Token("unheard"),
        Progress("done", 1.0),
        Progress("done", 1.0, "twice"),
    ) == [
        (0.5, "reading"),
        (0.500001, "node"),
        (0.500002, "really"),
        (0.500003, "calls add"),
        (0.500004, "add failed: ValueError: no"),
        (0.500005, "no tools"),
        (1.0, "done"),
        (1.000001, "twice"),
    ]


def test_without_a_token_of_the_caller_nothing_is_told_but_the_end() -> None:
    [answer] = messages(wire_of(progress_token=None, tokens=True), *EVERYTHING)
    assert answer["result"]["structuredContent"] == {"content": "x"}


def test_tokens_are_told_to_those_who_ask() -> None:
    told = progress(wire_of(tokens=True), Token('a "%s"\n'), Token(""), Token("b", None, "n", "m"))
    assert told == [(0.000001, 'a "%s"\n'), (0.000002, "b")]


@pytest.mark.parametrize(
    ("terminal", "code", "text"),
    [
        (Failed("no", "TIMEOUT"), "TIMEOUT", "TIMEOUT: no"),
        (Cancelled("enough"), "CANCELLED", "CANCELLED: The run was cancelled: enough"),
    ],
)
def test_a_bad_end_is_an_error_of_the_tool(terminal: Event, code: str, text: str) -> None:
    [answer] = messages(wire_of(), Token("a"), terminal)
    assert answer["result"] == {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {"dockrion/run_id": "r_1", "dockrion/code": code},
    }


EVENTS = st.lists(
    st.one_of(
        st.builds(Token, st.text(max_size=5)),
        st.builds(Progress, st.text(max_size=3), st.floats(0, 1)),
        st.builds(Step, st.just("node"), st.just(1.0)),
        st.builds(ToolCall, st.just("t"), st.none(), st.none()),
        st.builds(Interrupt, st.just("Really?"), st.just("i")),
    ),
    max_size=20,
)
TOLD = st.builds(
    Told,
    st.one_of(st.integers(), st.text(max_size=10)),
    st.one_of(st.none(), st.integers(), st.text(max_size=10)),
    tokens=st.booleans(),
    primes=st.booleans(),
)


def test_progress_goes_on_beyond_the_whole_in_one_batch() -> None:
    said: list[Event] = [Progress("p", 0.999998), *[Token(str(n)) for n in range(14)]]
    told = messages(wire_of(tokens=True), *said)
    progress = [one["params"]["progress"] for one in told]
    assert progress == [n / 1_000_000 for n in range(999_998, 1_000_013)]
    assert [one["params"]["message"] for one in told[1:]] == [str(n) for n in range(14)]


@given(EVENTS, TOLD, st.booleans(), st.data())
def test_how_events_are_cut_changes_no_byte(
    events: list[Event], told: Told, cursors: bool, data: st.DataObject
) -> None:
    run = run_of(cursors=cursors)
    everything: list[Event] = [START, *events, DONE]

    def wire() -> McpWire:
        return McpWire(tool_of(), run, told, can_be_answered=True, stamp={})

    whole = wire().encode(Batch(everything, 0, TIME))
    cut = data.draw(st.integers(0, len(everything)))
    other = wire()
    parts = [
        other.encode(Batch(everything[:cut], 0, TIME)),
        other.encode(Batch(everything[cut:], cut, TIME)),
    ]
    assert b"".join(parts) == whole
    read = read_sse(whole)
    last = read[-1].json()
    assert (last["id"], last["result"]["isError"]) == (told.request_id, False)
    numbers = [event.json()["params"]["progress"] for event in read[:-1] if event.data]
    assert numbers == sorted(set(numbers))
    if cursors:
        # Each frame is come back to by its own id, whose rest says how to go on.
        assert all(event.id.startswith("r_1:") for event in read)
        assert Told.read(read[-1].id.split(":")[2]) == told


@given(st.text())
def test_what_is_no_way_of_telling_is_none(text: str) -> None:
    assert Told.read(text) is None or str(Told.read(text))


def test_a_stream_that_can_be_come_back_to_begins_with_an_event_to_come_back_after() -> None:
    wire = wire_of(run_of(cursors=True), primes=True)
    assert wire.opening(TIME).startswith(b"data:\nretry: 1000\nid: r_1:-1:")
    assert wire.encode(Batch([START], 0, TIME)) == b""
    assert wire_of(run_of(cursors=True)).opening(TIME) == b""
    assert wire_of(primes=True).opening(TIME) == b""


def test_questions_of_2026_are_the_result() -> None:
    wire = wire_of(asks=True, modern=True)
    wire.encode(Batch([Interrupt("old", "i0"), Token("x")], 0, TIME))
    wire.encode(Batch([Interrupt("Really?", "i1"), Interrupt({"x": 1}, "i2")], 2, TIME))
    [answer] = [event.json() for event in read_sse(wire.paused())]
    result = answer["result"]
    assert (result["resultType"], result["requestState"]) == ("input_required", "r_1")
    assert {key: one["params"]["message"] for key, one in result["inputRequests"].items()} == {
        "i1": "Really?",
        "i2": '{"x":1}',
    }
    assert not wire.waits


def test_questions_of_before_are_requests_on_the_stream() -> None:
    wire = wire_of(run_of(cursors=True), asks=True)
    wire.encode(Batch([Token("x"), Interrupt("One?", "i1"), Interrupt("Two?", "i2")], 0, TIME))
    events = read_sse(wire.paused())
    assert [event.json()["id"] for event in events] == ["r_1:i1", "r_1:i2"]
    assert [event.id.split(":")[1] for event in events] == ["1", "2"]
    assert (wire.waits, wire.position) == (True, 3)


FIELDS = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"enum": ["x"]}}},
}


@pytest.mark.parametrize(
    ("value", "message", "is_own"),
    [
        ("Really?", "Really?", False),
        ({"x": 1}, '{"x":1}', False),
        (None, "null", False),
        ({"message": "Who?", "schema": FIELDS}, "Who?", True),
        ({"message": "Who?", "schema": {**FIELDS, "title": "t", "$defs": {}}}, "Who?", True),
        ({"message": "Who?", "schema": {"type": "string"}}, None, False),
        ({"message": "Who?", "schema": {"type": "object", "properties": {"a": {}}}}, None, False),
        ({"message": 1, "schema": FIELDS}, None, False),
    ],
)
def test_a_question_is_a_form_with_one_answer_or_its_own(
    value: Any, message: str | None, is_own: bool
) -> None:
    question = Question("i", value)
    shown = form(question)
    assert message is None or shown["message"] == message
    assert (
        shown["requestedSchema"] == FIELDS
        if is_own
        else "answer" in shown["requestedSchema"]["properties"]
    )
    content = {"answer": "yes", "a": "b"}
    assert answer_to(question, content) == (content if is_own else "yes")


@pytest.mark.parametrize(
    ("capabilities", "asks"),
    [
        ({"elicitation": {}}, True),
        ({"elicitation": {"form": {}}}, True),
        ({"elicitation": {"form": {}, "url": {}}}, True),
        ({"elicitation": {"url": {}}}, False),
        ({"elicitation": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_who_can_be_asked_says_so(capabilities: Any, asks: bool) -> None:
    assert asks_in_forms(capabilities) is asks


def test_a_runs_name_is_of_its_caller_session_and_request() -> None:
    names = {
        run_name(owner, session, request_id)
        for owner in ("a", "b")
        for session in ("s", "t")
        for request_id in (1, "1", 2)
    }
    assert len(names) == 12
    assert run_name("a", "s", 1) == run_name("a", "s", 1)


@given(st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(), st.lists))
def test_what_is_no_message_is_refused(body: Any) -> None:
    with pytest.raises(RpcError):
        message_of(json.loads(json.dumps(body)))


def test_the_name_of_the_tool_is_one_that_models_can_call() -> None:
    agent = {"name": "a" * 70, "handler": "a:b"}
    assert tool_of(agent=agent).listing["name"] == "a" * 64
