"""What pages of the AI SDK send: as agents get it, and the answers in it."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import ValidationError
from dockrion.wires.ai_sdk.requests import AiSdk
from tests.wires.kit import chat_of

USER = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
ASKED = {"id": "t", "messages": [USER], "trigger": "submit-message"}


def test_messages_have_the_shape_that_agents_know() -> None:
    tool = {"toolCallId": "c", "input": {"a": 1}}
    messages = [
        {"role": "system", "parts": [{"type": "text", "text": "be"}]},
        {
            "id": "u",
            "role": "user",
            "metadata": {"x": 1},
            "parts": [
                {"type": "text", "text": "a"},
                {"type": "data-note", "data": 1},
                {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA"},
                {"type": "file", "mediaType": "text/csv", "url": "data:,a", "filename": "a.csv"},
                {"type": "file", "mediaType": "text/csv", "url": "https://example.com/a.csv"},
            ],
        },
        {
            "id": "m",
            "role": "assistant",
            "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "text": "hm"},
                {"type": "text", "text": "Let "},
                {"type": "text", "text": "me"},
                {"type": "dynamic-tool", "toolName": "f", "state": "output-available"}
                | tool
                | {"output": {"b": 2}},
                {"type": "tool-g", "state": "output-error", "toolCallId": "d", "errorText": "no"},
                {"type": "tool-h", "state": "input-available", "toolCallId": "e"},
                {"type": "dynamic-tool", "toolName": "question", "state": "output-available"},
                {"type": "text", "text": "So."},
            ],
        },
        {"id": "n", "role": "assistant", "parts": [{"type": "step-start"}]},
        {"role": "user", "content": "plain"},
    ]
    payload = AiSdk(chat_of()).read({"messages": messages}).payload
    assert payload["messages"] == [
        {"role": "system", "content": "be"},
        {
            "id": "u",
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                {"type": "file", "file": {"filename": "a.csv", "file_data": "data:,a"}},
                {"type": "file", "file": {"file_url": "https://example.com/a.csv"}},
            ],
        },
        {
            "id": "m",
            "role": "assistant",
            "content": "Let me",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                },
                {"id": "d", "type": "function", "function": {"name": "g", "arguments": "null"}},
            ],
        },
        {"id": "m.1", "role": "tool", "tool_call_id": "c", "content": '{"b":2}'},
        {"id": "m.2", "role": "tool", "tool_call_id": "d", "content": "no"},
        {"id": "m.3", "role": "assistant", "content": "So."},
        {"role": "user", "content": "plain"},
    ]


def question(state: str, interrupt_id: str = "a", **fields: Any) -> dict[str, Any]:
    part = {"type": "dynamic-tool", "toolName": "question", "toolCallId": f"run:{interrupt_id}"}
    return {**part, "state": state, **fields}


def answered(*parts: Any) -> dict[str, Any]:
    return {"id": "t", "messages": [USER, {"id": "m", "role": "assistant", "parts": [*parts]}]}


def test_answers_go_to_the_run_that_has_asked() -> None:
    call = AiSdk(chat_of()).read(
        answered(
            question("output-available", "old", output="x", providerExecuted=True),
            question("approval-responded", "a", approval={"id": "run:a", "approved": True}),
            question(
                "approval-responded", "b", approval={"id": "x", "approved": False, "reason": "no"}
            ),
            question("output-available", "c:d", output={"any": 1}),
            question("output-error", "e", errorText="never"),
        )
    )
    assert call.payload == {
        "a": True,
        "b": {"approved": False, "reason": "no"},
        "c:d": {"any": 1},
        "e": "never",
    }
    assert [(one.given, one.denied) for one in call.told.answers] == [
        (True, False),
        (True, True),
        (True, False),
        (False, False),
    ]
    assert (call.is_input, call.told.message_id, call.thread_id) == (False, "m", "t")


@pytest.mark.parametrize(
    ("said", "heard"), [(0, 0), (7, 7), (-1, None), (-5, None), (True, None), (1.5, None)]
)
def test_how_much_a_page_has_heard_is_a_count_or_not_known(said: Any, heard: int | None) -> None:
    body = answered(question("output-available", output="x"))
    body["messages"][-1]["metadata"] = {"heard": said}
    call = AiSdk(chat_of()).read(body)
    assert [one.heard for one in call.told.answers] == [heard]
    assert AiSdk(chat_of()).read_again(body).begins("run") == (heard or 0)


def test_what_is_open_or_has_been_taken_is_no_answer() -> None:
    taken = question("output-available", output="x", providerExecuted=True)
    approval = {"id": "run:a", "approved": False}
    for part in (
        taken,
        question("approval-requested"),
        question("output-denied", approval=approval),
    ):
        call = AiSdk(chat_of()).read(answered(part))
        assert call.is_input
        assert call.told.message_id == "m"


def test_a_tool_of_the_agent_s_may_be_called_question() -> None:
    own = question("output-available", output="x", providerExecuted=True)
    call = AiSdk(chat_of()).read(answered(own | {"toolCallId": "call_run_1"}))
    assert call.is_input
    assert [one["role"] for one in call.payload["messages"]] == ["user", "assistant", "tool"]


def test_a_new_message_of_the_user_s_is_no_answer_to_an_old_question() -> None:
    body = answered(question("output-available", output=1))
    body["messages"].append(USER)
    call = AiSdk(chat_of()).read(body)
    assert (call.is_input, call.told.message_id) == (True, None)
    assert call.payload["messages"] == [{"id": "1", "role": "user", "content": "hi"}] * 2


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "body: must be an object with `id` and `messages`, got an empty list"),
        ({**ASKED, "id": 3}, "id: must be a string, the id of the chat, got a number"),
        ({**ASKED, "messages": []}, "messages: must be a list with at least one message"),
        ({**ASKED, "messages": [{"role": "user"}]}, "messages[0]: must have `parts`"),
        (
            {**ASKED, "messages": [{"role": "user", "parts": "x"}]},
            "messages[0].parts: must be a list, got a string",
        ),
        (
            {**ASKED, "messages": [{"role": "user", "parts": [USER]}]},
            "messages[0].parts[0]: must be an object with a `type`",
        ),
        (
            {**ASKED, "messages": [{"role": "user", "parts": [{"type": "text"}]}]},
            "messages[0].parts[0].text: must be a string, got nothing",
        ),
        (
            {**ASKED, "messages": [{"role": "user", "parts": [{"type": "file", "url": "x"}]}]},
            "messages[0].parts[0].mediaType: must be a string",
        ),
        (
            answered(question("output-available") | {"toolCallId": "x"}),
            "messages[1].parts[0].toolCallId: is no id of a question",
        ),
        (
            answered(question("approval-responded", approval={"approved": "yes"})),
            "messages[1].parts[0].approval: must say with `approved`, true or false",
        ),
        (
            {"messages": [{"role": "assistant", "parts": [question("approval-requested")]}]},
            "messages: must have a message with more than what a page shows",
        ),
        (
            answered(question("output-error"), question("output-error") | {"toolCallId": "b:a"}),
            "messages[1].parts: has answers to questions of several runs",
        ),
        (
            answered(question("output-error"), question("output-error")),
            "messages[1].parts: answers one question twice",
        ),
    ],
)
def test_what_is_no_request_is_refused(body: Any, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AiSdk(chat_of()).read(body)
    assert caught.value.message.startswith(says)


def test_an_agent_that_takes_one_text_gets_the_last_one_and_says_which_it_cannot_take() -> None:
    one_text = chat_of(
        io_schema={"input": {"properties": {"q": {"type": "string"}}, "required": ["q"]}}
    )
    call = {"type": "tool-f", "state": "output-available", "toolCallId": "c", "output": "x"}
    text = {"type": "text", "text": "t"}
    history = [USER, {"role": "assistant", "parts": [call, text]}]
    assert AiSdk(one_text).read({"messages": [*history, USER]}).payload == {"q": "hi"}
    image = {"type": "file", "mediaType": "image/png", "url": "x"}
    asked = {"messages": [*history, {"role": "user", "parts": [image]}]}
    with pytest.raises(ValidationError, match=r"messages\[2\].content: this agent takes text"):
        AiSdk(one_text).read(asked)


def test_who_comes_back_is_not_refused() -> None:
    again = AiSdk(chat_of()).read_again
    assert again(None).told.message_id is None
    assert again({"messages": [3]}).told.message_id is None
    assert again(answered()).told.message_id == "m"
