"""Responses, as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import ValidationError
from dockrion.events.model import Batch, Cancelled, Complete, Event, Failed, Started, Token
from dockrion.wires.openai.items import ResponsesWire
from dockrion.wires.openai.responses import ResponseId, Responses
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of, told, types_of

START = Started("a", "custom")
TEXT = ["output_item.added", "content_part.added", "output_text.delta"]
TEXT_ENDS = ["output_text.done", "content_part.done", "output_item.done"]
CALL = [
    "output_item.added",
    *(f"mcp_call{part}" for part in (".in_progress", "_arguments.delta", "_arguments.done")),
]


def wire_of(*, starting_after: int = -1) -> ResponsesWire:
    return ResponsesWire(chat_of(), run_of(), "resp_r_1", echo={}, starting_after=starting_after)


def names(*events: Event) -> list[str]:
    return [kind.removeprefix("response.") for kind in types_of(told(wire_of(), *events))]


def test_events_come_in_the_order_of_the_protocol() -> None:
    assert names(START, Token("a"), Token(""), Token("b"), Complete({}, 0.1, {})) == [
        "created",
        "in_progress",
        *TEXT,
        "output_text.delta",
        *TEXT_ENDS,
        "completed",
    ]


def test_tools_are_items_between_messages() -> None:
    assert names(*EVERYTHING) == [
        "created",
        "in_progress",
        *TEXT,
        "output_text.delta",
        *TEXT_ENDS,
        *CALL,
        *CALL,
        *TEXT,
        "mcp_call.failed",
        "output_item.done",
        "mcp_call.completed",
        "output_item.done",
        *TEXT_ENDS,
        *TEXT,
        "output_text.delta",
        *TEXT_ENDS,
        "completed",
    ]


def test_numbers_have_no_gap_and_data_says_its_type() -> None:
    events = told(wire_of(), *EVERYTHING)
    assert [event.json()["sequence_number"] for event in events] == list(range(len(events)))
    assert [event.json()["type"] for event in events] == types_of(events)


def test_the_whole_is_what_its_parts_have_said() -> None:
    events = [event.json() for event in told(wire_of(), *EVERYTHING)]
    whole = events[-1]["response"]
    done = {e["output_index"]: e["item"] for e in events if e["type"].endswith("item.done")}
    assert whole["output"] == [done[index] for index in sorted(done)]
    assert [item["type"] for item in whole["output"]] == [
        "message",
        "mcp_call",
        "mcp_call",
        "message",
        "message",
    ]
    add, find = whole["output"][1], whole["output"][2]
    assert (add["name"], add["arguments"], add["output"], add["status"]) == (
        "add",
        '{"a":1}',
        '{"sum":3}',
        "completed",
    )
    error = {
        "type": "mcp_tool_execution_error",
        "content": [{"type": "text", "text": "ValueError: no"}],
    }
    assert (find["output"], find["error"], find["status"]) == (None, error, "failed")
    usage = whole["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (3, 4, 7)
    said: dict[str, str] = {}
    for event in events:
        if event["type"] == "response.output_text.delta":
            said[event["item_id"]] = said.get(event["item_id"], "") + event["delta"]
    messages = [item for item in whole["output"] if item["type"] == "message"]
    assert said == {item["id"]: item["content"][0]["text"] for item in messages}


def test_any_place_to_start_after_gives_the_rest_of_the_stream() -> None:
    whole = told(wire_of(), *EVERYTHING)
    for after in range(len(whole)):
        assert told(wire_of(starting_after=after), *EVERYTHING) == whole[after + 1 :]


@pytest.mark.parametrize(
    ("terminal", "status", "error"),
    [
        (Failed("no", "TIMEOUT"), "failed", {"code": "TIMEOUT", "message": "no"}),
        (
            Cancelled("enough"),
            "cancelled",
            {"code": "CONFLICT", "message": "The run was cancelled: enough"},
        ),
    ],
)
def test_a_bad_end_is_a_failed_response(terminal: Event, status: str, error: Any) -> None:
    last = told(wire_of(), START, Token("a"), terminal)[-1]
    assert last.event == "response.failed"
    response = last.json()["response"]
    assert (response["status"], response["error"]) == (status, error)
    assert response["output"][0]["status"] == "incomplete"


def test_an_output_that_was_cut_is_incomplete() -> None:
    last = told(wire_of(), START, Token("a"), Complete({}, 0.1, {"truncated": True}))[-1]
    assert last.event == "response.incomplete"
    assert last.json()["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_a_response_says_whether_it_is_kept_and_when_it_was_complete() -> None:
    call = Responses(chat_of()).read({"input": "hi", "background": True, "conversation": "c"})
    for kept in (True, False):
        wire = call.wire(run_of(cursors=kept))
        first, *_, last = told(wire, START, Complete({"content": "x"}, 0.1, {}))
        before, after = (event.json()["response"] for event in (first, last))
        assert (after["store"], after["background"]) == (kept, True)
        assert after["conversation"] == {"id": "c"}
        assert (before["completed_at"], after["completed_at"]) == (None, after["created_at"])
    failed = told(wire_of(), START, Failed("no", "TIMEOUT"))[-1].json()["response"]
    assert (failed["completed_at"], failed["background"], failed["store"]) == (None, False, False)


def test_without_tokens_the_output_is_the_reply() -> None:
    events = told(wire_of(), START, Complete({"content": "x"}, 0.1, {}))
    [item] = events[-1].json()["response"]["output"]
    assert item["content"][0]["text"] == "x"


def test_a_stream_that_waits_for_an_answer_is_a_complete_response() -> None:
    wire = wire_of()
    wire.encode(Batch(EVERYTHING[:13], 0, TIME))
    assert b'"status":"completed"' in wire.paused()
    assert wire.answer()["output"][-1]["content"][0]["text"] == "Really?"


@pytest.mark.parametrize("thread", ["r_1", "another thread: é", "a.b_c"])
def test_an_id_has_its_run_and_thread(thread: str) -> None:
    one = ResponseId("r_1", thread)
    assert ResponseId.read(str(one)) == one
    assert (str(one) == "resp_r_1") == (thread == "r_1")


@pytest.mark.parametrize(
    "text", ["", "r_1", "resp_", "resp_r.", "resp_r.A", "resp_r._w", "resp_a/b"]
)
def test_what_is_no_id_of_a_response_is_none(text: str) -> None:
    assert ResponseId.read(text) is None


def payload(**body: Any) -> Any:
    return Responses(chat_of()).read({"input": "hi", **body}).payload["messages"]


def test_inputs_are_messages() -> None:
    user = {"role": "user", "content": "hi"}
    assert payload() == [user]
    assert payload(instructions="be brief") == [{"role": "system", "content": "be brief"}, user]
    image = {"type": "input_image", "image_url": "https://example.com/a.png"}
    given = [
        {"role": "user", "content": "hi", "type": "message", "id": "m"},
        {"type": "mcp_call", "name": "add"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}, image]},
    ]
    url = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert payload(input=given) == [
        user,
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, url]},
    ]


def test_the_thread_is_that_of_the_response_before() -> None:
    responses = Responses(chat_of())
    after = {"input": "hi", "previous_response_id": str(ResponseId("r2", "r1"))}
    assert responses.read(after).thread_id == "r1"
    assert responses.read({"input": "hi", "conversation": {"id": "c"}}).thread_id == "c"
    assert responses.read({"input": "hi"}).thread_id is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "input: must be a string, or a list of messages, got nothing"),
        ({"input": [{"type": "function_call"}]}, "input[0].type: must be `message`"),
        ({"input": ["x"]}, "input[0]: must be an object"),
        ({"input": "x", "instructions": []}, "instructions: must be a string"),
        ({"input": "x", "previous_response_id": "r"}, "previous_response_id: is no id"),
        ({"input": "x", "conversation": 1}, "conversation: must be an id"),
        (
            {"input": "x", "conversation": "c", "previous_response_id": "resp_r"},
            "conversation: cannot stand beside",
        ),
        ({"input": "x", "tools": [{}]}, "tools: the agent has its own tools"),
        (
            {"input": "x", "text": {"format": {"type": "json_schema"}}},
            "text.format: the agent decides",
        ),
    ],
)
def test_what_an_agent_cannot_do_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Responses(chat_of()).read(body)
    assert caught.value.message.startswith(says)
