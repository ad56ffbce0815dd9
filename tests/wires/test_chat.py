"""From messages to payloads, from outputs to replies."""

from __future__ import annotations

from typing import Any

import pytest

from dockrion.errors import ValidationError
from tests.wires.kit import chat_of

ONE_TEXT = {"io_schema": {"input": {"properties": {"q": {"type": "string"}}, "required": ["q"]}}}
USER = {"role": "user", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
PARTS = [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([USER], "hi"),
        ([USER, {"role": "assistant", "content": "x"}, {"role": "user", "content": "two"}], "two"),
        ([{"role": "system", "content": "be"}, {"role": "user", "content": PARTS}], "ab"),
        ([{"role": "user", "content": ""}], ""),
    ],
)
def test_the_last_text_of_the_user_is_the_payload(messages: list[Any], text: str) -> None:
    assert chat_of(**ONE_TEXT).payload(messages, field="messages") == {"q": text}


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([{"role": "system", "content": "x"}], "messages: must have a message of the role `user`"),
        (
            [USER, {"role": "user", "content": [*PARTS, IMAGE]}],
            'messages[1].content: this agent takes text alone, got a part of type "image_url"',
        ),
        (
            [{"role": "user"}],
            "messages[0].content: must be a text or a list of parts, got nothing",
        ),
        ([{"role": "user", "content": []}], "messages[0].content: "),
    ],
)
def test_what_is_no_text_is_refused(messages: list[Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        chat_of(**ONE_TEXT).payload(messages, field="messages")
    assert caught.value.message.startswith(says)


def test_whole_messages_pass_with_parts_of_text_joined() -> None:
    tool = {"role": "tool", "tool_call_id": "c", "content": "3"}
    messages: list[Any] = [{"role": "user", "content": PARTS}, tool]
    payload = chat_of().payload(messages, field="messages")
    assert payload == {"messages": [{"role": "user", "content": "ab"}, tool]}


def test_images_pass_where_messages_do() -> None:
    messages: list[Any] = [{"role": "user", "content": [*PARTS, IMAGE]}]
    assert chat_of().payload(messages, field="messages") == {"messages": messages}


def test_an_agent_of_texts_gets_the_text_alone() -> None:
    assert chat_of(io_schema={"input": {"type": "string"}}).payload([USER], field="m") == "hi"


ANSWER = {"io_schema": {"output": {"properties": {"answer": {"type": "string"}}}}}
NAMED = {"expose": {"protocols": ["openai"], "chat": {"output": "said"}}}


@pytest.mark.parametrize(
    ("sections", "output", "text"),
    [
        ({}, "text", "text"),
        ({}, {"content": "c", "messages": [USER]}, "c"),
        ({}, {"messages": [USER, {"type": "ai", "content": "last"}]}, "last"),
        ({}, {"messages": [{"content": [{"type": "text", "text": "p"}]}]}, "p"),
        ({}, {"n": 1, "é": None}, '{"n":1,"é":null}'),
        ({}, [1], "[1]"),
        (ANSWER, {"answer": "a", "content": "c"}, "a"),
        (NAMED, {"said": "s", "content": "c"}, "s"),
        (NAMED, {"content": "c"}, '{"content":"c"}'),
    ],
)
def test_an_output_is_a_reply(sections: dict[str, Any], output: Any, text: str) -> None:
    assert chat_of(**sections).reply(output) == text
