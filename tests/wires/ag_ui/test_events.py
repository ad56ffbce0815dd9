"""AG-UI, as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import ValidationError
from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Started,
    Token,
    ToolCall,
)
from dockrion.testing import read_sse
from dockrion.wires.ag_ui.events import AgUiWire, Told
from dockrion.wires.ag_ui.requests import AgUi
from dockrion.wires.questions import QuestionId
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of, told

START = Started("a", "custom")
DONE = Complete({"content": "x"}, 0.1, {})
ASKED = {"threadId": "t", "runId": "r", "messages": [{"id": "1", "role": "user", "content": "hi"}]}


def wire_of(*, cursors: bool = False) -> AgUiWire:
    return AgUiWire(chat_of(), run_of(cursors=cursors), Told("t", "r"))


def events(*given: Event) -> list[dict[str, Any]]:
    return [event.json() for event in told(wire_of(), *given)]


def kinds(*given: Event) -> list[str]:
    return [event["type"] for event in events(*given)]


def test_everything_comes_between_the_start_and_the_end_of_the_run() -> None:
    assert kinds(*EVERYTHING) == [
        "RUN_STARTED",
        "CUSTOM",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "STEP_STARTED",
        "STEP_FINISHED",
        "TEXT_MESSAGE_END",
        *["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"] * 2,
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TOOL_CALL_RESULT",
        "TOOL_CALL_RESULT",
        "CUSTOM",
        "CUSTOM",
        "TEXT_MESSAGE_END",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]


def test_the_ends_of_a_run_have_the_names_of_the_page() -> None:
    first, *_, last = events(*EVERYTHING)
    names = {"threadId": "t", "runId": "r"}
    assert first == {"type": "RUN_STARTED", **names, "protocolVersion": "1.0"}
    assert last == {
        "type": "RUN_FINISHED",
        **names,
        "outcome": {"type": "success"},
        "result": {"content": "x"},
        "usage": [{"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}],
    }


def test_texts_are_told_apart_by_node_and_message() -> None:
    one, two = Token("a", None, "n", "1"), Token("b", None, "n", "2")
    given = events(START, one, two, one, Token("", "stop", "n", "1"), DONE)
    texts: dict[str, str] = {}
    for event in given:
        if event["type"] == "TEXT_MESSAGE_CONTENT":
            texts[event["messageId"]] = texts.get(event["messageId"], "") + event["delta"]
    assert sorted(texts.values()) == ["aa", "b"]
    ends = [event["messageId"] for event in given if event["type"] == "TEXT_MESSAGE_END"]
    assert ends == [next(iter(texts)), *[i for i in texts if i != next(iter(texts))]]


def test_a_result_belongs_to_its_call_and_a_call_without_one_is_closed() -> None:
    given = events(START, ToolCall("a", None, {}), ToolCall("b", "c", {"x": 1}), DONE)
    calls = [event["toolCallId"] for event in given if event["type"] == "TOOL_CALL_START"]
    results = [event for event in given if event["type"] == "TOOL_CALL_RESULT"]
    assert [event["toolCallId"] for event in results] == calls
    assert {event["content"] for event in results} == {""}
    everything = {
        e["toolCallId"]: e for e in events(*EVERYTHING) if e["type"] == "TOOL_CALL_RESULT"
    }
    assert [event["content"] for event in everything.values()] == ["ValueError: no", '{"sum":3}']


def test_without_tokens_the_output_is_a_message() -> None:
    assert [event.get("delta") for event in events(START, DONE)] == [None, None, "x", None, None]


def test_the_state_is_what_a_graph_ends_with_or_what_the_agent_says_it_is() -> None:
    graph = events(Started("a", "langgraph"), Token("x"), DONE)
    assert graph[-2] == {"type": "STATE_SNAPSHOT", "snapshot": {"content": "x"}}
    patch = [{"op": "add", "path": "/a", "value": 1}]
    given = events(START, Custom("state", {"b": 1}), Custom("state_delta", patch), Token("x"), DONE)
    assert given[1:3] == [
        {"type": "STATE_SNAPSHOT", "snapshot": {"b": 1}},
        {"type": "STATE_DELTA", "delta": patch},
    ]
    other = events(START, Custom("state_delta", "no patch"), Token("x"), DONE)
    assert other[1] == {"type": "CUSTOM", "name": "state_delta", "value": "no patch"}


@pytest.mark.parametrize(
    ("terminal", "last"),
    [
        (Failed("no", "TIMEOUT"), {"type": "RUN_ERROR", "message": "no", "code": "TIMEOUT"}),
        (
            Cancelled("enough"),
            {
                "type": "RUN_FINISHED",
                "threadId": "t",
                "runId": "r",
                "outcome": {"type": "cancelled"},
            },
        ),
    ],
)
def test_a_bad_end_is_the_last_event(terminal: Event, last: Any) -> None:
    assert events(START, Token("a"), terminal)[-1] == last


def test_questions_end_the_run_of_the_page() -> None:
    wire = wire_of()
    wire.encode(Batch([START, Token("a"), Interrupt("old", "i0"), Token("b")], 0, TIME))
    wire.encode(Batch([Interrupt("Really?", "i1"), Interrupt({"x": 1}, "i2")], 4, TIME))
    end, last = [event.json() for event in read_sse(wire.paused())]
    assert end["type"] == "TEXT_MESSAGE_END"
    assert last["outcome"]["type"] == "interrupt"
    assert [
        (one["id"], one["message"], one["metadata"]) for one in last["outcome"]["interrupts"]
    ] == [
        ("r_1@6:i1", "Really?", {"value": "Really?"}),
        ("r_1@6:i2", '{"x":1}', {"value": {"x": 1}}),
    ]


def test_a_run_that_is_told_from_its_middle_has_the_same_ids() -> None:
    whole = read_sse(wire_of(cursors=True).encode(Batch(EVERYTHING, 0, TIME)))
    rest = read_sse(wire_of(cursors=True).encode(Batch(EVERYTHING[13:], 13, TIME)))
    assert [event.data for event in rest[1:]] == [event.data for event in whole[-len(rest) + 1 :]]


def test_each_frame_has_a_cursor_and_the_last_of_an_event_that_of_the_event() -> None:
    given = told(wire_of(cursors=True), START, Token("a"), Token("b"), DONE)
    assert [(event.json()["type"], event.id) for event in given] == [
        ("RUN_STARTED", "r_1:0"),
        ("TEXT_MESSAGE_START", "r_1:1.1"),
        ("TEXT_MESSAGE_CONTENT", "r_1:1"),
        ("TEXT_MESSAGE_CONTENT", "r_1:2"),
        ("TEXT_MESSAGE_END", "r_1:3.1"),
        ("RUN_FINISHED", "r_1:3"),
    ]


def test_messages_have_the_names_that_agents_know() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    image = {"type": "image", "source": {"type": "url", "value": "https://example.com/a.png"}}
    data = {"type": "image", "source": {"type": "data", "value": "AA", "mimeType": "image/png"}}
    messages = [
        {"id": "0", "role": "reasoning", "content": "hm"},
        {"id": "1", "role": "assistant", "toolCalls": [call]},
        {"id": "2", "role": "tool", "toolCallId": "c", "content": "3"},
        {"id": "3", "role": "user", "content": [image, data]},
    ]
    payload = AgUi(chat_of()).read({**ASKED, "messages": messages}).payload
    assert payload["messages"] == [
        {"id": "1", "role": "assistant", "tool_calls": [call]},
        {"id": "2", "role": "tool", "tool_call_id": "c", "content": "3"},
        {
            "id": "3",
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ],
        },
    ]


def test_answers_go_to_the_run_that_has_asked() -> None:
    resume = [
        {"interruptId": "run:a", "status": "resolved", "payload": {"ok": True}},
        {"interruptId": "run@7:b:c", "status": "cancelled"},
    ]
    call = AgUi(chat_of()).read({**ASKED, "resume": resume})
    assert [(one.question, one.given) for one in call.answers] == [
        (QuestionId("run", "a"), True),
        (QuestionId("run", "b:c", 7), False),
    ]
    assert [one.heard for one in call.answers] == [None, 7]
    assert call.payload == {"a": {"ok": True}, "b:c": None}
    assert not call.is_input


def entry(interrupt_id: str) -> dict[str, Any]:
    return {"interruptId": interrupt_id, "status": "resolved", "payload": 1}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "body: must be a RunAgentInput, got an empty list"),
        ({"runId": "r", "messages": []}, "threadId: must be a string"),
        ({**ASKED, "runId": ""}, "runId: must be a string with at least one character"),
        ({**ASKED, "messages": []}, "messages: must be a list with at least one message"),
        ({**ASKED, "resume": {}}, "resume: must be a list of answers"),
        ({**ASKED, "resume": [{"interruptId": "a:b"}]}, "resume[0]: must have an `interruptId`"),
        ({**ASKED, "resume": [entry("x")]}, "resume[0].interruptId: is no id of a question"),
        ({**ASKED, "resume": [entry("a:b"), entry("c:d")]}, "resume: has answers to questions of"),
        ({**ASKED, "resume": [entry("a:b"), entry("a:b")]}, "resume: answers one question twice"),
    ],
)
def test_what_is_no_input_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AgUi(chat_of()).read(body)
    assert caught.value.message.startswith(says)


def test_a_new_attempt_says_nothing_in_the_messages_of_one_that_was_lost() -> None:
    again = Started("a", "custom", 2)
    told = events(START, Token("lo"), ToolCall("t", "c", {}), Token("st"), again, Token("b"), DONE)
    said: dict[str, str] = {}
    ended: list[str] = []
    for event in told:
        match event["type"]:
            case "TEXT_MESSAGE_CONTENT":
                said[event["messageId"]] = said.get(event["messageId"], "") + event["delta"]
            case "TEXT_MESSAGE_END":
                ended.append(event["messageId"])
            case _:
                pass
    assert [*said.values()] == ["lo", "st", "b"]
    assert ended == [*said]
    assert [event["type"] for event in told].count("RUN_STARTED") == 1
    assert [event["type"] for event in told].count("TOOL_CALL_RESULT") == 1
    silent = events(START, Token("lost"), again, DONE)
    assert [one["delta"] for one in silent if "delta" in one] == ["lost", "x"]
