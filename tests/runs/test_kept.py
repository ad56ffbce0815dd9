"""The kept events of a held run: what can be read of them, and what is trimmed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dockrion.events import sse
from dockrion.events.model import Batch, Custom, Event, Token
from dockrion.runs import kept as module
from dockrion.runs.kept import KeptEvents, entries_of, piece_of
from dockrion.testing import read_sse

TIMESTAMP = "2025-01-01T00:00:00.000Z"
BATCHES = st.lists(st.integers(1, 8), min_size=1, max_size=20)
EVERYTHING = 1 << 30


def events(first: int, count: int) -> list[Event]:
    # Blank lines in the text must not be taken for the end of a frame.
    return [
        Token(f"{n}\n\n") if n % 3 else Custom("x", {"n": n, "text": "\n\nid: 1\n\n"})
        for n in range(first, first + count)
    ]


def batches(sizes: list[int]) -> list[Batch]:
    found: list[Batch] = []
    first = 0
    for size in sizes:
        found.append(Batch(events(first, size), first, TIMESTAMP))
        first += size
    return found


def filled(sizes: list[int], **bounds: Any) -> KeptEvents:
    kept = KeptEvents(**{"max_events": 10_000, "max_bytes": EVERYTHING, **bounds})
    for batch in batches(sizes):
        kept.append(entries_of("r", batch))
        kept.trim(kept.end)
    return kept


def read_all(kept: KeptEvents, start: int) -> bytes:
    parts: list[bytes] = []
    while entries := kept.read(start):
        piece = piece_of(entries, start)
        assert piece.end > start
        parts.append(piece.body)
        start = piece.end
    return b"".join(parts)


@given(sizes=BATCHES, data=st.data())
def test_from_any_event_on_the_frames_are_those_of_the_wire(
    sizes: list[int], data: st.DataObject
) -> None:
    kept = filled(sizes)
    start = data.draw(st.integers(0, sum(sizes)))
    whole = b"".join(sse.frames("r", batch) for batch in batches(sizes))
    assert read_all(kept, 0) == whole
    rest = read_all(kept, start)
    assert whole.endswith(rest)
    assert [event.id for event in read_sse(rest)] == [f"r:{n}" for n in range(start, sum(sizes))]


@given(sizes=BATCHES, max_events=st.integers(1, 30))
def test_of_too_many_events_the_newest_are_kept_to_the_number(
    sizes: list[int], max_events: int
) -> None:
    kept = filled(sizes, max_events=max_events)
    assert kept.end == sum(sizes)
    assert kept.end - kept.first == min(max_events, kept.end)
    ids = [event.id for event in read_sse(read_all(kept, kept.first))]
    assert ids == [f"r:{n}" for n in range(kept.first, kept.end)]


@given(sizes=BATCHES, max_bytes=st.integers(1, 20_000))
def test_what_is_kept_weighs_no_more_than_allowed_and_at_least_the_last_entry_stays(
    sizes: list[int], max_bytes: int
) -> None:
    kept = filled(sizes, max_bytes=max_bytes)
    assert kept.weight <= max_bytes or kept.first == kept.end - sizes[-1]
    assert read_sse(read_all(kept, kept.first))[-1].id == f"r:{kept.end - 1}"


@given(sizes=BATCHES, floor=st.integers(0, 40))
def test_nothing_is_trimmed_that_a_reader_still_wants(sizes: list[int], floor: int) -> None:
    kept = KeptEvents(max_events=1, max_bytes=1)
    for batch in batches(sizes):
        kept.append(entries_of("r", batch))
        kept.trim(floor)
    assert kept.first <= floor
    if floor < kept.end:
        assert read_sse(read_all(kept, floor))[0].id == f"r:{floor}"


def test_a_large_batch_becomes_entries_of_which_the_old_ones_can_go() -> None:
    kept = filled([4 * module.ENTRY_EVENTS], max_events=10)
    assert kept.end - kept.first == 10
    assert kept.weight < 2 * len(read_all(filled([module.ENTRY_EVENTS]), 0))


def test_one_read_gives_no_more_than_a_piece() -> None:
    kept = filled([1] * 50)
    piece = piece_of(kept.read(0, 500), 0)
    assert 1 < piece.end < 50
    assert len(piece.body) <= 500
