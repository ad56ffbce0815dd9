from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from dockrion.events import model, sse
from dockrion.events.model import Batch, Event
from dockrion.testing import SSEReader, read_sse

RUN = "0b8d0bd5-7ce7-4a87-9e3c-1c2f7b0c1a11"
TIME = "2026-11-24T11:00:00.000Z"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
name = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)
json_data = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
number = st.floats(0, 1e6, allow_nan=False)
optional_text = st.none() | text
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(model.Token, text),
    st.builds(model.Token, text, optional_text, optional_text, optional_text),
    st.builds(model.Step, text, st.none() | number, st.none() | st.lists(text, max_size=3)),
    st.builds(model.Progress, text, st.floats(0, 1), optional_text),
    st.builds(model.Checkpoint, text, json_data),
    st.builds(model.ToolCall, text, optional_text, json_data),
    st.builds(model.ToolResult, text, optional_text, json_data, number, optional_text),
    st.builds(model.Policy, text, text, optional_text),
    st.builds(model.Custom, name, json_data),
    st.builds(model.Started, text, text, st.none() | st.integers(2, 5)),
    st.builds(model.Interrupt, json_data, text),
    st.builds(model.Complete, json_data, number, st.dictionaries(text, json_data, max_size=2)),
    st.builds(model.Failed, text, text, json_data),
    st.builds(model.Cancelled, text),
)

ALL = (
    (model.Token, "token"),
    (model.Step, "step"),
    (model.Progress, "progress"),
    (model.Checkpoint, "checkpoint"),
    (model.ToolCall, "tool_call"),
    (model.ToolResult, "tool_result"),
    (model.Policy, "policy"),
    (model.Custom, "custom"),
    (model.Started, "started"),
    (model.Interrupt, "interrupt"),
    (model.Complete, "complete"),
    (model.Failed, "error"),
    (model.Cancelled, "cancelled"),
)
TYPES: dict[str, type[Any]] = {name: kind for kind, name in ALL}


def decode(data: dict[str, Any]) -> Event:
    """Make the event again from what a client gets."""
    kind, _, custom_name = data["type"].partition(":")
    cls = TYPES[kind]
    fields = {f.name: data[f.name] for f in msgspec.structs.fields(cls) if f.name in data}
    return cls(name=custom_name, **fields) if cls is model.Custom else cls(**fields)


@given(st.lists(events, min_size=1, max_size=8), st.integers(0, 10**9))
@example([model.Token('"\n\r\0\u2028\u0085\ufeff😀'), model.Token("")], 0)
def test_decoding_an_encoded_batch_gives_the_batch(batch: list[Event], first: int) -> None:
    received = read_sse(sse.frames(RUN, Batch(batch, first, TIME)))
    assert [decode(event.json()) for event in received] == batch
    for sequence, event in enumerate(received, first):
        data = event.json()
        assert event.id == data["id"] == f"{RUN}:{sequence}"
        assert event.event == data["type"]
        assert data["sequence"] == sequence
        assert (data["run_id"], data["timestamp"]) == (RUN, TIME)


@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_the_result_of_reading_does_not_depend_on_cuts(
    batch: list[Event], data: st.DataObject
) -> None:
    stream = sse.COMMENT_HEARTBEAT.join(
        sse.frames(RUN, Batch([event], number, TIME)) for number, event in enumerate(batch)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = SSEReader()
    received = [
        event
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for event in reader.feed(stream[start:end])
    ]
    assert received == read_sse(stream)
    assert len(received) == len(batch)


def test_frames_are_written_byte_for_byte_as_the_contract_says() -> None:
    batch = Batch([model.Token('a"b'), model.Progress("load", 0.5)], 7, TIME)
    assert sse.frames("r1", batch) == (
        b'event: token\ndata: {"id":"r1:7","type":"token","run_id":"r1","sequence":7,'
        b'"timestamp":"2026-11-24T11:00:00.000Z","content":"a\\"b","finish_reason":null}\nid: r1:7\n\n'
        b'event: progress\ndata: {"id":"r1:8","type":"progress","run_id":"r1","sequence":8,'
        b'"timestamp":"2026-11-24T11:00:00.000Z","step":"load","progress":0.5,"message":null}\nid: r1:8\n\n'
    )


def test_a_lone_surrogate_in_a_token_becomes_the_replacement_character() -> None:
    [event] = read_sse(sse.frames("r1", Batch([model.Token("a\ud800b")], 0, TIME)))
    assert event.json()["content"] == "a\ufffdb"


def test_a_heartbeat_has_neither_id_nor_sequence() -> None:
    frame = sse.heartbeat("r1", TIME)
    assert b"id:" not in frame
    [event] = read_sse(frame)
    assert event.event == "heartbeat"
    assert event.json() == {"type": "heartbeat", "run_id": "r1", "timestamp": TIME}


def test_unknown_optional_fields_of_tokens_and_starts_are_not_invented() -> None:
    batch = Batch([model.Token("x", "stop"), model.Started("a", "custom")], 0, TIME)
    token, started = (event.json() for event in read_sse(sse.frames("r1", batch)))
    assert "node" not in token
    assert "message_id" not in token
    assert token["finish_reason"] == "stop"
    assert "attempt" not in started
    assert started["agent_name"] == started["agent"] == "a"
