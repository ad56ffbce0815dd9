"""Whatever a request has in one place, it is read, and the events of its run are written, or it is refused in words."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockrion.errors import ValidationError
from dockrion.events.model import Batch
from dockrion.wires.ag_ui.requests import AgUi
from dockrion.wires.ai_sdk.requests import AiSdk
from dockrion.wires.base import WirePath
from dockrion.wires.openai.chat import ChatCompletions
from dockrion.wires.openai.responses import Responses
from tests.wires.ai_sdk.parts import ASKED, CALLED
from tests.wires.changing import changed
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

# What takes whole messages, and what takes a text.
CHATS = [chat_of(), chat_of(io_schema={"input": {"type": "string"}})]
URL = {"url": "https://example.com/a.png"}
PARTS = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": URL}]
SAID = [
    {"role": "system", "content": "be brief"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
    {"role": "tool", "tool_call_id": "c", "content": "3"},
]
SOURCE = {"type": "data", "value": "aGk=", "mimeType": "image/png"}
INPUT = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u"}]
ON_THE_PAGE = [
    {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "hi"}]},
    {"id": "m2", "role": "user", "parts": [{"type": "file", "url": "u", "mediaType": "image/png"}]},
]
ANSWERED = [
    {**ASKED, "state": "approval-responded", "approval": {"id": "r:i", "approved": True}},
    {**ASKED, "state": "output-available", "output": {"a": 1}},
    {**ASKED, "state": "output-error", "errorText": "no"},
]
PATHS: dict[str, tuple[type[Any], list[Any]]] = {
    "openai chat": (
        ChatCompletions,
        [
            {
                "model": "m",
                "messages": [*SAID, {"role": "user", "content": content}],
                "stream": True,
                "stream_options": {"include_usage": True},
                "n": 1,
                "tools": [{"type": "function"}],
                "tool_choice": "none",
                "response_format": {"type": "text"},
            }
            for content in ("hi", PARTS)
        ],
    ),
    "openai responses": (
        Responses,
        [
            {
                "input": [{"type": "message", "role": "user", "content": content}],
                "instructions": "be brief",
                "stream": True,
                "background": False,
                "metadata": {"k": "v"},
                "text": {"format": {"type": "text"}},
                **more,
            }
            for content in ("hi", INPUT)
            for more in ({"previous_response_id": "resp_r"}, {"conversation": {"id": "c"}})
        ],
    ),
    "ag-ui": (
        AgUi,
        [
            {
                "threadId": "t",
                "runId": "r",
                "messages": [*SAID, {"id": "1", "role": "user", "content": content}],
                "tools": [],
                "context": [],
                "resume": resume,
            }
            for content in ("hi", [{"type": "image", "source": SOURCE}])
            for resume in ([], [{"interruptId": "r:i", "status": "resolved", "payload": 1}])
        ],
    ),
    "ai-sdk": (
        AiSdk,
        [
            {"id": "c", "messages": [*ON_THE_PAGE, {"id": "a", "role": "assistant", "parts": parts}]}
            for parts in ([CALLED, part] for part in ANSWERED)
        ]
        + [{"id": "c", "messages": [{"id": "a", "role": "assistant", "parts": [CALLED]}, one]}
            for one in ON_THE_PAGE],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
@settings(deadline=None, max_examples=200)
@given(data=st.data(), chat=st.sampled_from(CHATS))
def test_it_is_read_or_refused(name: str, data: st.DataObject, chat: Any) -> None:
    make, good = PATHS[name]
    path: WirePath = make(chat)
    body = data.draw(changed(good))
    path.read_again(body)
    call, error = None, None
    try:
        call = path.read(body)
    except ValidationError as refused:
        error = refused
    if call is None:
        assert error is not None
        assert error.message
        assert path.refusal(error)
    else:
        call.wire(run_of()).encode(Batch(EVERYTHING, 0, TIME))


@pytest.mark.parametrize("name", PATHS)
def test_what_is_changed_was_good(name: str) -> None:
    make, good = PATHS[name]
    for body in good:
        assert make(CHATS[0]).read(body)


MANY = 80_000
TEXTS = [{"type": "text", "text": "and so on and so on"}] * MANY
HI = {"role": "user", "parts": TEXTS[:1]}
RESULTS = [CALLED] * MANY


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (ChatCompletions, {"messages": [{"role": "user", "content": TEXTS}]}),
        (ChatCompletions, {"messages": [{"role": "user", "content": "x"}] * MANY}),
        (Responses, {"input": [{"role": "user", "content": TEXTS}]}),
        (AgUi, {"threadId": "t", "runId": "r", "messages": [{"role": "user", "content": TEXTS}]}),
        (AiSdk, {"messages": [{"role": "user", "parts": TEXTS}]}),
        (AiSdk, {"messages": [{"role": "assistant", "parts": TEXTS}, HI]}),
        (AiSdk, {"messages": [{"role": "assistant", "parts": RESULTS}, HI]}),
        (AiSdk, {"messages": [HI] * MANY}),
    ],
)
def test_what_it_takes_to_read_grows_with_the_request_and_not_faster(make: Any, body: Any) -> None:
    """A square of it would be half a minute, in which nobody else is answered."""
    before = process_time()
    make(CHATS[0]).read(body)
    assert process_time() - before < 5
