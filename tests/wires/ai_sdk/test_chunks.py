"""The AI SDK's UI message stream, as bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.model import (
    Batch,
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Progress,
    Started,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.testing import read_sse
from dockrion.wires.ai_sdk.chunks import AiSdkWire, Call, Told, UiAnswer
from dockrion.wires.questions import QuestionId
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

START = Started("a", "custom")
DONE = Complete({"content": "x"}, 0.1, {})


def wire_of(*, cursors: bool = False, **told: Any) -> AiSdkWire:
    return AiSdkWire(chat_of(), run_of(cursors=cursors), Told(**told))


def read(body: bytes) -> list[dict[str, Any]]:
    """Return the chunks; the frame after the last one is no JSON."""
    events = read_sse(body)
    assert [event.data for event in events if event.data.startswith("[")] in ([], ["[DONE]"])
    return [event.json() for event in events if event.data != "[DONE]"]


def chunks(*given: Event, **told: Any) -> list[dict[str, Any]]:
    return read(wire_of(**told).encode(Batch([*given], 0, TIME)))


def kinds(*given: Event) -> list[str]:
    return [chunk["type"] for chunk in chunks(*given)]


def test_everything_comes_between_the_start_and_the_end_of_the_message() -> None:
    assert kinds(*EVERYTHING) == [
        "start",
        "start-step",
        "data-progress",
        "text-start",
        "text-delta",
        "text-delta",
        "data-step",
        "text-end",
        "tool-input-available",
        "tool-input-available",
        "text-start",
        "text-delta",
        "tool-output-error",
        "tool-output-available",
        "data-checkpoint",
        "data-policy",
        "text-end",
        "finish-step",
        "start-step",
        "tool-input-available",
        "tool-approval-request",
        "tool-output-available",
        "finish-step",
        "start-step",
        "text-start",
        "text-delta",
        "text-end",
        "data-output",
        "finish-step",
        "finish",
    ]


def test_the_ends_of_a_message_say_which_run_it_is_and_what_it_has_used() -> None:
    first, *_, last = chunks(*EVERYTHING)
    assert first == {
        "type": "start",
        "messageId": "msg_r_1",
        "messageMetadata": {"runId": "r_1"},
    }
    assert last == {
        "type": "finish",
        "finishReason": "stop",
        "messageMetadata": {"usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}},
    }
    [*_, end] = read_sse(wire_of().encode(Batch([START, DONE], 0, TIME)))
    assert end.data == "[DONE]"


def test_a_reply_that_was_cut_has_its_length_as_the_reason() -> None:
    cut = Complete("x", 0.1, {"truncated": True})
    assert chunks(START, cut)[-1] == {"type": "finish", "finishReason": "length"}


def test_texts_are_told_apart_by_node_and_message() -> None:
    one, two = Token("a", None, "n", "1"), Token("b", None, "n", "2")
    said = chunks(START, one, two, one, Token("", "stop", "n", "1"), DONE)
    texts: dict[str, str] = {}
    for chunk in said:
        if chunk["type"] == "text-delta":
            texts[chunk["id"]] = texts.get(chunk["id"], "") + chunk["delta"]
    assert texts == {"text_1": "aa", "text_2": "b"}
    assert [chunk["id"] for chunk in said if chunk["type"] == "text-end"] == ["text_1", "text_2"]


def test_the_agent_s_tools_are_executed_elsewhere_and_have_their_results() -> None:
    call, *_, result, output, _, _ = chunks(
        START, ToolCall("a", "c", {"x": 1}), Token("t"), ToolResult("a", "c", [1]), DONE
    )[2:]
    assert call == {
        "type": "tool-input-available",
        "toolCallId": "call_r_1_1",
        "toolName": "a",
        "input": {"x": 1},
        "dynamic": True,
        "providerExecuted": True,
    }
    assert result["type"] == "text-end"
    assert output == {"type": "data-output", "data": {"content": "x"}, "transient": True}


def test_a_result_without_its_call_has_one_and_a_call_without_a_result_gets_nothing() -> None:
    said = chunks(START, ToolResult("a", None, 3), ToolCall("b", None, {}), DONE)
    tools = [chunk for chunk in said if chunk["type"].startswith("tool-")]
    assert [(one["type"], one["toolCallId"], one.get("output", "-")) for one in tools] == [
        ("tool-input-available", "call_r_1_1", "-"),
        ("tool-output-available", "call_r_1_1", 3),
        ("tool-input-available", "call_r_1_2", "-"),
        ("tool-output-available", "call_r_1_2", None),
    ]


def test_without_tokens_the_output_is_the_text() -> None:
    assert [chunk.get("delta") for chunk in chunks(START, DONE)][3] == "x"


def test_data_is_kept_or_passes_and_what_has_an_id_is_replaced() -> None:
    said = chunks(
        START,
        Progress("p", 0.5, "half"),
        Checkpoint("c", [1]),
        Custom("weather", {"id": "w", "sky": "blue"}),
        Custom("note", "text"),
        Custom("other", {"id": 3}),
    )[2:]
    assert said == [
        {
            "type": "data-progress",
            "data": {"step": "p", "progress": 0.5, "message": "half"},
            "transient": True,
        },
        {"type": "data-checkpoint", "id": "c", "data": {"name": "c", "data": [1]}},
        {"type": "data-weather", "id": "w", "data": {"id": "w", "sky": "blue"}},
        {"type": "data-note", "data": "text"},
        {"type": "data-other", "data": {"id": 3}},
    ]


@pytest.mark.parametrize(
    ("terminal", "last"),
    [
        (Failed("no", "TIMEOUT"), {"type": "error", "errorText": "no", "code": "TIMEOUT"}),
        (Cancelled("enough"), {"type": "abort", "reason": "enough"}),
    ],
)
def test_a_bad_end_closes_the_text_and_is_the_last_chunk(terminal: Event, last: Any) -> None:
    *_, text, end = chunks(START, Token("a"), terminal)
    assert (text["type"], end) == ("text-end", last)


def test_a_run_that_is_begun_again_takes_back_what_it_has_said() -> None:
    again = chunks(START, Token("a"), ToolCall("t", "c", {}), Started("a", "custom", 2), Token("b"))
    assert [chunk["type"] for chunk in again[-3:]] == ["reset-step", "text-start", "text-delta"]
    silent = chunks(START, Token("a"), Started("a", "custom", 2), DONE)
    assert [chunk["delta"] for chunk in silent if chunk["type"] == "text-delta"] == ["a", "x"]


def test_a_question_is_a_tool_that_the_user_may_approve_or_answer() -> None:
    wire = wire_of()
    asked = read(wire.encode(Batch([START, Token("a"), Interrupt({"x": 1}, "i:1")], 0, TIME)))
    assert asked[-2:] == [
        {
            "type": "tool-input-available",
            "toolCallId": "r_1:i:1",
            "toolName": "question",
            "input": {"x": 1},
            "dynamic": True,
        },
        {
            "type": "tool-approval-request",
            "approvalId": "r_1:i:1",
            "toolCallId": "r_1:i:1",
            "reason": '{"x":1}',
        },
    ]
    assert read(wire.paused()) == [
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "tool-calls", "messageMetadata": {"heard": 3}},
    ]


def test_a_run_that_goes_on_says_what_it_has_taken() -> None:
    answers = tuple(
        UiAnswer(QuestionId("r_1", name), given, value, denied=denied)
        for name, given, value, denied in [
            ("i1", True, "yes", False),
            ("i2", True, False, True),
            ("i3", False, "no", False),
        ]
    )
    rest = chunks(DONE, message_id="m", answers=answers)
    assert rest[0]["messageId"] == "m"
    assert rest[1:5] == [
        {
            "type": "tool-output-available",
            "toolCallId": "r_1:i1",
            "output": "yes",
            "providerExecuted": True,
        },
        {"type": "tool-output-denied", "toolCallId": "r_1:i2"},
        {
            "type": "tool-output-error",
            "toolCallId": "r_1:i3",
            "errorText": "no",
            "providerExecuted": True,
        },
        {"type": "start-step"},
    ]


AGAIN: list[list[Event]] = [
    # The code goes on in the tool.
    [ToolResult("a", "c1", 3)],
    # The node is run again, and calls the tool once more.
    [ToolCall("a", "c2", {"x": 1}), ToolResult("a", "c2", 3)],
]


@pytest.mark.parametrize("events", AGAIN)
def test_a_call_that_has_asked_gets_its_result_from_whoever_tells(events: list[Event]) -> None:
    before: list[Event] = [START, ToolCall("a", "c1", {"x": 1}), Interrupt("?", "i")]
    result = {"type": "tool-output-available", "toolCallId": "call_r_1_1", "output": 3}
    whole = chunks(*before, *events, DONE)
    page = chunks(*events, DONE, calls=(Call("a", None, "call_r_1_1", {"x": 1}, waits=True),))
    for told in (whole, page):
        tools = [one for one in told if one["type"].startswith("tool-")]
        assert [one for one in tools if one["toolCallId"] == "call_r_1_1"][-1] == result
        assert len({one["toolCallId"] for one in tools} - {"r_1:i"}) == 1


def test_another_call_of_a_tool_that_waits_is_another() -> None:
    waiting = Call("a", None, "one", {"x": 1}, waits=True)
    told = chunks(ToolCall("a", "c", {"x": 2}), ToolResult("a", "c", 3), DONE, calls=(waiting,))
    outputs = [one for one in told if one["type"] == "tool-output-available"]
    assert [(one["toolCallId"], one["output"]) for one in outputs] == [
        ("call_r_1_0", 3),
        ("one", None),
    ]


@given(st.integers(1, len(EVERYTHING) - 1))
def test_a_run_that_is_told_again_and_cut_anywhere_ends_in_the_same_bytes(cut: int) -> None:
    whole = wire_of(cursors=True).encode(Batch(EVERYTHING, 0, TIME))
    again = wire_of(cursors=True)
    again.encode(Batch(EVERYTHING[:cut], 0, TIME))
    rest = again.encode(Batch(EVERYTHING[cut:], cut, TIME))
    assert whole.endswith(rest)
    # What comes back with a cursor begins right behind it.
    assert whole.removesuffix(rest).endswith(b"id: r_1:%d\n\n" % (cut - 1))
