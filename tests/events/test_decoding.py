"""Kept frames are events again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockrion.events import sse
from dockrion.events.decoding import batches_of
from dockrion.events.jsonable import well_formed
from dockrion.events.model import (
    KINDS,
    Batch,
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)

TIME = "2026-11-24T11:00:00.000Z"
LATER = "2026-11-24T11:00:00.001Z"
EVENTS: list[Event] = [
    Started("a", "custom"),
    Started("a", "custom", 2),
    Token('x"\n\n%é'),
    Token("", "stop", "node", "m1"),
    Step("n", 1.5, ["a"], None),
    Progress("p", 1.0),
    Checkpoint("c", [None, {"type": "token"}]),
    ToolCall("t", None, {"a": 1}),
    ToolResult("t", "c1", None, 2.0, "no"),
    Policy("tools", "no", "t"),
    Custom("mine", {"event": "data: x"}),
    Interrupt({"ask": 1}, "i1"),
    Complete({"a": 1.5}, 0.25, {"agent": "a"}),
    Failed("e", "TIMEOUT", [1]),
    Cancelled("left"),
]


def test_every_kind_of_event_comes_back_as_it_was() -> None:
    assert {type(event) for event in EVENTS} == set(KINDS)
    body = sse.frames("r_1", Batch(EVENTS, 7, TIME))
    batches = batches_of(body, first=7, end=7 + len(EVENTS))
    assert [event for batch in batches for event in batch.events] == EVENTS
    assert {batch.timestamp for batch in batches} == {TIME}


def test_each_batch_has_the_sequence_and_the_time_of_its_first_event() -> None:
    body = sse.frames("r", Batch(EVENTS[:3], 4, TIME)) + sse.frames(
        "r", Batch(EVENTS[3:5], 7, LATER)
    )
    assert batches_of(body, first=4, end=9) == [
        Batch(EVENTS[:2], 4, TIME),
        Batch(EVENTS[2:4], 6, TIME),
        Batch(EVENTS[4:5], 8, LATER),
    ]


def test_each_question_has_the_time_at_which_it_was_asked() -> None:
    one, two = Interrupt("One?", "i1"), Interrupt("Two?", "i2")
    body = sse.frames("r", Batch([one], 4, TIME)) + sse.frames("r", Batch([two], 5, LATER))
    assert batches_of(body, first=4, end=6) == [Batch([one], 4, TIME), Batch([two], 5, LATER)]


def test_no_frames_are_no_events() -> None:
    assert batches_of(b"", first=3, end=3) == []


@given(
    contents=st.lists(st.sampled_from(["", "a", "\n", "event: token\ndata: ", '"', "é", "\ud800"])),
    others=st.lists(st.sampled_from(EVENTS), max_size=2),
)
def test_tokens_come_back_whatever_they_say(contents: list[str], others: list[Event]) -> None:
    events: list[Event] = [*map(Token, contents), *others]
    body = sse.frames("r", Batch(events, 3, TIME))
    read = batches_of(body, first=3, end=3 + len(events))
    said = [event for batch in read for event in batch.events]
    assert said[: len(contents)] == [Token(well_formed(text)) for text in contents]
    assert said[len(contents) :] == others
    places = [batch.first + n for batch in read for n in range(len(batch.events))]
    assert places == list(range(3, 3 + len(events)))
