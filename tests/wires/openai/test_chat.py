"""Chat Completions, as bytes."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import ValidationError
from dockrion.events import sse
from dockrion.events.model import Batch, Cancelled, Complete, Event, Failed, Started, Token
from dockrion.testing import read_sse
from dockrion.wires.openai.chat import ChatCompletions, ChatWire
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of, told

MESSAGES = [{"role": "user", "content": "hi"}]
START = Started("a", "custom")


def chunks(*events: Event, usage: bool = False) -> list[Any]:
    *data, done = told(ChatWire(chat_of(), run_of(), with_usage=usage), *events)
    assert done.data == "[DONE]"
    return [event.json() for event in data]


def choices(*events: Event) -> list[Any]:
    return [
        (chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"])
        for chunk in chunks(*events)
    ]


def test_tokens_are_chunks_between_a_role_and_a_reason() -> None:
    assert choices(START, Token("a%s"), Token('"\n'), Complete({}, 0.1, {})) == [
        ({"role": "assistant", "content": ""}, None),
        ({"content": "a%s"}, None),
        ({"content": '"\n'}, None),
        ({}, "stop"),
    ]
    [first, *_] = chunks(START, Token("a"), Complete({}, 0.1, {}))
    assert {key: first[key] for key in ("id", "object", "created", "model")} == {
        "id": "chatcmpl-r_1",
        "object": "chat.completion.chunk",
        "created": 1795518000,
        "model": "test",
    }


def test_without_tokens_the_output_is_the_reply_in_the_chunk_of_the_reason() -> None:
    assert choices(START, Token(""), Complete({"content": "x"}, 0.1, {})) == [
        ({"role": "assistant", "content": ""}, None),
        ({"content": "x"}, "stop"),
    ]


def test_an_output_that_was_cut_ends_for_its_length() -> None:
    cut = Complete({}, 0.1, {"truncated": True})
    assert choices(START, Token("a"), cut)[-1] == ({}, "length")


def test_a_question_is_text_of_the_reply_and_tools_are_not_shown() -> None:
    texts = [delta.get("content") for delta, _ in choices(*EVERYTHING)]
    assert "".join(filter(None, texts)) == 'Hello %s "\n between\n\nReally? after'
    assert all("tool_calls" not in delta for delta, _ in choices(*EVERYTHING))


def test_usage_comes_last_where_it_is_wanted_and_known() -> None:
    [*_, reason, last] = chunks(*EVERYTHING, usage=True)
    assert reason["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert not any("usage" in chunk for chunk in chunks(*EVERYTHING))
    unknown = chunks(START, Complete({}, 0.1, {}), usage=True)
    assert not any("usage" in chunk for chunk in unknown)


@pytest.mark.parametrize(
    ("terminal", "error"),
    [
        (
            Failed('says "no"', "AGENT_EXECUTION_ERROR"),
            ('says "no"', "server_error", "AGENT_EXECUTION_ERROR"),
        ),
        (Failed("no", "POLICY_VIOLATION"), ("no", "invalid_request_error", "POLICY_VIOLATION")),
        (
            Cancelled("enough"),
            ("The run was cancelled: enough", "invalid_request_error", "CONFLICT"),
        ),
    ],
)
def test_a_bad_end_is_an_error_and_never_done(terminal: Event, error: tuple[str, ...]) -> None:
    wire = ChatWire(chat_of(), run_of(), with_usage=True)
    last = told(wire, START, Token("a"), terminal)[-1].json()["error"]
    assert (last["message"], last["type"], last["code"]) == error


def test_cursors_stand_on_each_chunk_and_on_the_end() -> None:
    wire = ChatWire(chat_of(), run_of(cursors=True), with_usage=False)
    events = told(wire, START, Token("a"), Token("b"), Complete({}, 0.1, {}))
    assert [event.id for event in events] == ["r_1:0", "r_1:1", "r_1:2", "r_1:3.1", "r_1:3"]


def test_counts_and_the_mark_of_the_end_can_be_come_back_to() -> None:
    wire = ChatWire(chat_of(), run_of(cursors=True), with_usage=True)
    body = wire.encode(Batch(EVERYTHING, 0, TIME))
    end = len(EVERYTHING) - 1
    chunk, usage, done = read_sse(body)[-3:]
    assert [chunk.id, usage.id, done.id] == [f"r_1:{end}.1", f"r_1:{end}.2", f"r_1:{end}"]
    assert sse.after(body, usage.id.encode()) == b"data: [DONE]\nid: r_1:%d\n\n" % end
    assert usage.json()["choices"] == []


def test_the_answer_is_the_stream_at_once() -> None:
    wire = ChatWire(chat_of(), run_of(streams=False), with_usage=False)
    wire.encode(Batch(EVERYTHING, 0, TIME))
    answer = wire.answer()
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": 'Hello %s "\n between\n\nReally? after',
                "refusal": None,
            },
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"]["total_tokens"] == 7


def test_an_answer_keeps_no_more_text_than_an_output_may_have() -> None:
    expose = {"protocols": ["openai"], "limits": {"max_output_bytes": 5}}
    wire = ChatWire(chat_of(expose=expose), run_of(streams=False), with_usage=False)
    wire.encode(Batch([START, Token("abc"), Token("def"), Token("g")], 0, TIME))
    wire.encode(Batch([Complete({}, 0.1, {})], 4, TIME))
    [choice] = wire.answer()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("abcde", "length")


def test_a_new_attempt_begins_the_answer_anew() -> None:
    wire = ChatWire(chat_of(), run_of(streams=False), with_usage=False)
    again = Started("a", "custom", 2)
    wire.encode(Batch([START, Token("lost"), again, Token("b"), Complete({}, 0.1, {})], 0, TIME))
    assert wire.answer()["choices"][0]["message"]["content"] == "b"


def test_a_new_attempt_without_tokens_says_its_output() -> None:
    expose = {"protocols": ["openai"], "limits": {"max_output_bytes": 5}}
    wire = ChatWire(chat_of(expose=expose), run_of(streams=False), with_usage=False)
    lost = [START, Token("lost "), Token("and gone")]
    again = [Started("a", "custom", 2), Complete({"content": "whole"}, 0.1, {})]
    wire.encode(Batch([*lost, *again], 0, TIME))
    [choice] = wire.answer()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("whole", "stop")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "body: must be an object, got an empty list"),
        ({}, "messages: must be a list with at least one message, got nothing"),
        ({"messages": [1]}, "messages[0]: must be an object"),
        ({"messages": [{"content": "x"}]}, "messages[0].role: must be a string"),
        ({"messages": MESSAGES, "n": 2}, "n: the agent gives one reply; must be 1, got 2"),
        ({"messages": MESSAGES, "tools": [{}]}, "tools: the agent has its own tools"),
        (
            {"messages": MESSAGES, "functions": [{}], "function_call": "auto"},
            "functions: the agent has its own tools, and runs them itself; leave it out, or say `function_call`",
        ),
        ({"messages": MESSAGES, "stream": "yes"}, "stream: must be true or false, got a string"),
        ({"messages": MESSAGES, "stream_options": 1}, "stream_options: must be an object"),
        (
            {"messages": MESSAGES, "response_format": {"type": "json_object"}},
            "response_format: the agent decides what its reply looks like",
        ),
    ],
)
def test_what_an_agent_cannot_do_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChatCompletions(chat_of()).read(body)
    assert caught.value.message.startswith(says)


def test_what_only_steers_a_model_is_taken() -> None:
    body = {"model": "gpt", "messages": MESSAGES, "temperature": 0.5, "max_tokens": 5, "n": 1}
    body |= {"tools": [], "response_format": {"type": "text"}, "user": "u", "stream": None}
    call = ChatCompletions(chat_of()).read(body)
    assert (call.payload, call.streams, call.with_usage) == ({"messages": MESSAGES}, False, False)


def test_tools_that_are_not_to_be_called_are_taken() -> None:
    body = {"messages": MESSAGES, "tools": [{}], "tool_choice": "none"}
    assert ChatCompletions(chat_of()).read(body).payload == {"messages": MESSAGES}
