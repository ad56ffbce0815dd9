"""The parser of event streams: any cut, any line end, bounded, and not slower for what is large."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockrion.events.sse_parser import EventParser, EventTooLargeError, Frame

LINES = st.sampled_from(
    [
        b"event: token",
        b"event:x",
        b"data: {}",
        b"data:  two",
        b"data",
        b"id: r:1",
        b"id",
        b"id: nul\0",
        b"retry: 15",
        b"retry: no",
        b":hb",
        b"unknown: 1",
        b"",
        b"",
        "data: é🦆\u2028".encode(),
        b"data: \xff",
    ]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])
BODIES = st.lists(st.tuples(LINES, ENDS), max_size=25).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def as_the_standard_says(body: bytes) -> tuple[list[Frame], int | None, list[bytes]]:
    """Section 9.2.6, line by line over the whole."""
    frames: list[Frame] = []
    comments: list[bytes] = []
    event, data, last_id, retry = b"", list[bytes](), b"", None
    lines = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in lines.split(b"\n")[:-1]:
        if not line:
            if data:
                frames.append(Frame(event, b"\n".join(data), last_id))
            event, data = b"", []
        elif line.startswith(b":"):
            comments.append(line[1:])
        else:
            field, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if field == b"event":
                event = value
            elif field == b"data":
                data.append(value)
            elif field == b"id" and b"\0" not in value:
                last_id = value
            elif field == b"retry" and value.isdigit():
                retry = int(value)
    return frames, retry, comments


class Listening(EventParser):
    def __init__(self) -> None:
        super().__init__()
        self.comments: list[bytes] = []

    def comment(self, text: bytes) -> None:
        self.comments.append(text)


@given(body=BODIES, bom=st.booleans(), data=st.data())
def test_it_reads_what_the_standard_says_however_the_bytes_are_cut(
    body: bytes, bom: bool, data: st.DataObject
) -> None:
    body = b"\xef\xbb\xbf" * bom + body
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    parser = Listening()
    frames = [
        frame
        for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)
        for frame in parser.feed(body[start:end])
    ]
    # A last CR may be half of a line end, so what it ends may not be told yet.
    frames += parser.feed(b"\n\n")
    expected, retry, comments = as_the_standard_says(body + b"\n\n")
    assert frames == expected
    assert parser.retry == retry
    assert parser.comments == comments


def test_a_time_to_wait_that_is_no_time_is_ignored() -> None:
    parser = EventParser()
    assert parser.feed(b"retry: 70\nretry: " + b"9" * 5000 + b"\ndata: a\n\n") == [
        Frame(b"", b"a", b"")
    ]
    assert parser.retry == 70


def test_each_byte_may_come_alone() -> None:
    body = "\ufeff:hb\nevent: token\r\ndata: é\nid: r:1\n\ndata: b\r\rdata: c".encode()
    parser = EventParser()
    frames = [frame for byte in body for frame in parser.feed(bytes([byte]))]
    assert frames == [Frame(b"token", "é".encode(), b"r:1"), Frame(b"", b"b", b"r:1")]


def test_a_silent_connection_takes_no_memory() -> None:
    parser = EventParser(max_event_bytes=100)
    for _ in range(1000):
        assert parser.feed(b":hb\n") == []
    assert parser.feed(b"data: x\n\n") == [Frame(b"", b"x", b"")]


def test_what_is_too_large_is_refused() -> None:
    parser = EventParser(max_event_bytes=100)
    parser.feed(b"data: x\n\n" * 100 + b"x" * 100)
    with pytest.raises(EventTooLargeError, match="larger than 100 bytes"):
        parser.feed(b"x")
