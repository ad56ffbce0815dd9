"""Framing: what leaves reads back as what was said, whatever its size, and is what a stream of events has."""

from __future__ import annotations

import json
from itertools import cycle, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from dockrion.events import sse
from dockrion.events.model import Batch
from dockrion.events.sse_parser import EventParser
from dockrion.runtime.websocket.frames import FrameEnds, messages_of, text_frames
from tests.events.test_sse import events

SIZES = [0, 1, 125, 126, 127, 1022, 1023, 1024, 1025, 65535, 65536, 70000]


def read_back(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the messages that a client of `websockets` reads, however the bytes are cut."""
    client = Protocol(CLIENT, max_size=None)
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, end in pairwise(places):
        client.receive_data(data[start:end])
    assert client.parser_exc is None
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    assert all(frame.opcode is Opcode.TEXT and frame.fin for frame in frames)
    return [bytes(frame.data) for frame in frames]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_reads_back(size: int) -> None:
    messages = [b"x" * size, b"{}", b"y" * size]
    assert read_back(text_frames(messages), [1, 2, 3, size]) == messages


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(0, 5000), max_size=5))
def test_messages_in_a_row_read_back_however_they_are_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    assert read_back(text_frames(messages), cuts) == messages


@given(
    st.lists(st.sampled_from([0, 1, 125, 126, 300, 65535, 65536]), max_size=5),
    st.booleans(),
    st.lists(st.integers(1, 5), max_size=4),
)
def test_frames_end_where_they_end_however_they_are_cut(
    sizes: list[int], mask: bool, small: list[int]
) -> None:
    frames = [Frame(Opcode.TEXT, b"x" * size).serialize(mask=mask) for size in sizes]
    whole, ends, at = b"".join(frames), FrameEnds(), 0
    places: set[int] = {0}
    pieces = cycle([*small, 4096])
    while at < len(whole):
        piece = next(pieces)
        size = ends.take(whole[at : at + piece])
        assert 0 < size <= piece
        at += size
        places.add(at)
    assert at == len(whole)
    assert places >= {sum(map(len, frames[:number])) for number in range(len(frames))}


@given(st.lists(events, min_size=1, max_size=8))
def test_messages_are_the_data_of_the_stream(some: list[object]) -> None:
    batch = Batch(some, 7, "2026-01-01T00:00:00.000Z")  # type: ignore[arg-type]
    frames = sse.frames("run-1", batch)
    expected = [frame.data for frame in EventParser().feed(frames)]
    assert messages_of(frames) == expected
    assert [json.loads(one)["sequence"] for one in expected] == list(range(7, 7 + len(some)))


def test_what_belongs_to_the_connection_comes_too_but_no_comment() -> None:
    body = b"".join(
        (
            sse.RETRY,
            sse.heartbeat("r", "t"),
            sse.COMMENT_HEARTBEAT,
            sse.gap("r", "t", first=0, last=3),
            sse.COMMENT_HEARTBEAT,
        )
    )
    assert [json.loads(one)["type"] for one in messages_of(body)] == ["heartbeat", "gap"]
    assert messages_of(sse.COMMENT_HEARTBEAT) == []
