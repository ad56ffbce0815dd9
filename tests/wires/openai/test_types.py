"""What OpenAI's own package says of our answers: each chunk fits its types, strictly, and has no field that they do not know."""

from __future__ import annotations

import json

import pytest
from openai.types.responses import Response
from pydantic import ValidationError

from dockrion.events.model import Batch, Cancelled, Complete, Event, Failed
from dockrion.testing import read_sse
from dockrion.wires.openai.chat import ChatWire
from dockrion.wires.openai.items import ResponsesWire
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of
from tests.wires.openai.types import (
    CHUNK,
    COMPLETION,
    EVENT,
    RESPONSE,
    check,
    with_a_code_of_theirs,
)

SAID = EVERYTHING[:-1]
ENDS: dict[str, Event] = {
    "complete": EVERYTHING[-1],
    "truncated": Complete({"content": "x"}, 0.1, {"truncated": True}),
    "error": Failed("no", "TIMEOUT"),
    "cancelled": Cancelled("left"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_of_chunks(end: str) -> None:
    wire = ChatWire(chat_of(), run_of(), with_usage=True)
    *chunks, last = read_sse(wire.encode(Batch([*SAID, ENDS[end]], 0, TIME)))
    if end in ("error", "cancelled"):
        assert json.loads(last.data)["error"]["message"]
    else:
        assert last.data == "[DONE]"
    for chunk in chunks:
        check(CHUNK, chunk.data)


@pytest.mark.parametrize("end", ["complete", "truncated"])
def test_a_completion(end: str) -> None:
    wire = ChatWire(chat_of(), run_of(streams=False), with_usage=False)
    wire.encode(Batch([*SAID, ENDS[end]], 0, TIME))
    check(COMPLETION, json.dumps(wire.answer()))


@pytest.mark.parametrize("end", ENDS)
def test_a_stream_of_a_response(end: str) -> None:
    wire = ResponsesWire(chat_of(), run_of(), "resp_r_1", echo={})
    events = read_sse(wire.encode(Batch([*SAID, ENDS[end]], 0, TIME)))
    for event in events:
        data = json.loads(event.data)
        if "response" in data:
            data["response"] = with_a_code_of_theirs(data["response"])
        assert check(EVENT, json.dumps(data)).type == event.event
    check(RESPONSE, json.dumps(with_a_code_of_theirs(wire.answer())))


def test_a_response_has_each_field_but_those_of_services_that_are_not_here() -> None:
    wire = ResponsesWire(chat_of(), run_of(), "resp_r_1", echo={})
    elsewhere = {
        "access_programs",
        "image",
        "input_transformations",
        "moderation",
        "prompt_cache_diagnostics",
        "prompt_cache_options",
        "tool_usage",
    }
    assert set(Response.model_fields) - set(wire.answer()) == elsewhere


def test_what_the_types_do_not_know_is_found() -> None:
    wire = ChatWire(chat_of(), run_of(streams=False), with_usage=False)
    wire.encode(Batch([*SAID, ENDS["complete"]], 0, TIME))
    answer = wire.answer()
    answer["choices"][0]["message"]["mine"] = 1
    with pytest.raises(AssertionError, match=r"choices\[0\]\.message\.mine"):
        check(COMPLETION, json.dumps(answer))
    with pytest.raises(ValidationError):
        check(COMPLETION, json.dumps({**wire.answer(), "created": "now"}))
