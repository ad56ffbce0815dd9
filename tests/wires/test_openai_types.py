"""What OpenAI's own package says of our answers: each chunk fits its types, strictly, and has no field that they do not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from dockrion.events.model import Batch, Cancelled, Complete, Event, Failed
from dockrion.testing import read_sse
from dockrion.wires.openai_chat import ChatWire
from dockrion.wires.openai_items import ResponsesWire
from tests.wires.kit import EVERYTHING, TIME, chat_of, run_of

CHUNK: TypeAdapter[Any] = TypeAdapter(ChatCompletionChunk)
COMPLETION: TypeAdapter[Any] = TypeAdapter(ChatCompletion)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
RESPONSE: TypeAdapter[Any] = TypeAdapter(Response)
SAID = EVERYTHING[:-1]
ENDS: dict[str, Event] = {
    "complete": EVERYTHING[-1],
    "truncated": Complete({"content": "x"}, 0.1, {"truncated": True}),
    "error": Failed("no", "TIMEOUT"),
    "cancelled": Cancelled("left"),
}


def unknown(value: Any, at: str = "") -> Iterator[str]:
    """Name the fields that the types do not have."""
    match value:
        case BaseModel():
            for name in value.model_extra or {}:
                yield f"{at}.{name}"
            for name in type(value).model_fields:
                yield from unknown(getattr(value, name), f"{at}.{name}")
        case list():
            for number, one in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                yield from unknown(one, f"{at}[{number}]")
        case _:
            return


def check(kind: TypeAdapter[Any], data: str) -> Any:
    read = kind.validate_json(data, strict=True)
    assert list(unknown(read)) == []
    return read


def with_a_code_of_theirs(response: dict[str, Any]) -> dict[str, Any]:
    """Take out the one thing that is ours: the codes of `error`, of which theirs is a closed list."""
    if response["error"] is None:
        return response
    return {**response, "error": {**response["error"], "code": "server_error"}}


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
