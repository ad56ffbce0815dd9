"""The kept events of one run: encoded once, in order, the oldest trimmed."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Final

import msgspec

from dockrion.events import sse
from dockrion.events.model import Batch
from dockrion.runs.store.base import READ_BYTES, Entry

# Entries are what memory is given back in, so they must not be too large.
ENTRY_EVENTS: Final = 256
# What an entry weighs beside its bytes.
ENTRY_BYTES: Final = 160


def entries_of(run_id: str, batch: Batch) -> list[Entry]:
    """Encode a batch: from here on a run's events are bytes, however many read them."""
    events = batch.events
    if len(events) <= ENTRY_EVENTS:
        return [Entry(batch.first, batch.first + len(events), sse.frames(run_id, batch))]
    entries: list[Entry] = []
    for start in range(0, len(events), ENTRY_EVENTS):
        some = events[start : start + ENTRY_EVENTS]
        first = batch.first + start
        part = Batch(some, first, batch.timestamp)
        entries.append(Entry(first, first + len(some), sse.frames(run_id, part)))
    return entries


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Frames of events in a row, from `first` to before `end`; `batch` are the events, where they are still at hand."""

    body: bytes
    first: int
    end: int
    batch: Batch | None = None


def piece_of(entries: list[Entry], start: int, batch: Batch | None = None) -> Piece:
    """Join entries in a row, without what comes before sequence `start`, which the first one has."""
    first = entries[0]
    body = sse.skip(first.body, start - first.first)
    if len(entries) == 1:
        return Piece(body, start, first.end, batch)
    joined = b"".join([body, *(entry.body for entry in entries[1:])])
    return Piece(joined, start, entries[-1].end, batch)


def weight_of(entry: Entry) -> int:
    return len(entry.body) + ENTRY_BYTES


class KeptEvents:
    """Sequences from `first` to before `end` can be read; `weight` is what they take in bytes.

    The newest entry is never trimmed, so what ended a run can always be read.
    """

    def __init__(self, *, max_events: int, max_bytes: int, first: int = 0) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        # Beside each entry, what all that ever came before it weighed.
        self._offsets: deque[int] = deque()
        self._offset = 0
        self.first = first
        self.end = first

    @property
    def weight(self) -> int:
        return self._offset - self._offsets[0] if self._offsets else 0

    def append(self, entries: Iterable[Entry]) -> None:
        offset = self._offset
        for entry in entries:
            self._entries.append(entry)
            self._offsets.append(offset)
            offset += weight_of(entry)
            self.end = entry.end
        self._offset = offset

    def trim(self, floor: int | None = None) -> None:
        """Let go of what is over the bounds, but of nothing from `floor` on."""
        if self.end - self.first <= self._max_events and self.weight <= self._max_bytes:
            return
        entries = self._entries
        floor = self.end if floor is None else floor
        first = max(self.first, min(self.end - self._max_events, floor))
        while len(entries) > 1 and entries[0].end <= floor:
            if entries[0].end > first and self.weight <= self._max_bytes:
                break
            entries.popleft()
            self._offsets.popleft()
        if entries:
            self.first = max(first, entries[0].first)

    def read(self, start: int, max_bytes: int = READ_BYTES) -> list[Entry]:
        """Return what is there from sequence `start` on, or a part of it; nothing when nothing is."""
        if start >= self.end:
            return []
        entries = self._entries
        found: list[Entry] = []
        # By place: an iterator would walk to the newest ones, which are mostly wanted, from the oldest.
        for place in range(self._find(start), len(entries)):
            entry = entries[place]
            max_bytes -= len(entry.body)
            if found and max_bytes < 0:
                break
            found.append(entry)
        return found

    def weight_from(self, start: int) -> int:
        """Return what the entries from the one that has `start` weigh."""
        if start >= self.end:
            return 0
        return self._offset - self._offsets[self._find(start)]

    def _find(self, sequence: int) -> int:
        """Return the place of the entry that has `sequence`."""
        if sequence >= self._entries[-1].first:
            return len(self._entries) - 1
        return bisect_right(self._entries, sequence, key=attrgetter("first")) - 1
