"""The kept events of one held run: encoded once, in order, the oldest trimmed."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import attrgetter
from typing import Final

import msgspec

from dockrion.events import sse
from dockrion.events.model import Batch

# Entries are what memory is given back in, so they must not be too large.
ENTRY_EVENTS: Final = 256
# What one read gives at most, but for a larger entry.
PIECE_BYTES: Final = 256 << 10
# What an entry weighs beside its bytes.
ENTRY_BYTES: Final = 160


class Entry(msgspec.Struct, frozen=True, gc=False):
    """Frames of the events `first` to before `end`; `offset` is the weight of all entries that ever came before."""

    first: int
    end: int
    body: bytes
    offset: int

    @property
    def weight(self) -> int:
        return len(self.body) + ENTRY_BYTES


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Frames of events in a row, up to before `end`."""

    body: bytes
    end: int


class KeptEvents:
    """Sequences from `first` to before `end` can be read; `weight` is what they take in bytes.

    The newest entry is never trimmed, so what ended a run can always be read.
    """

    def __init__(self, run_id: str, *, max_events: int, max_bytes: int) -> None:
        self._run_id = run_id
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._offset = 0
        self.first = 0
        self.end = 0

    @property
    def weight(self) -> int:
        return self._offset - self._entries[0].offset if self._entries else 0

    def append(self, batch: Batch) -> None:
        events = batch.events
        for start in range(0, len(events), ENTRY_EVENTS):
            some = events[start : start + ENTRY_EVENTS]
            first = batch.first + start
            part = Batch(some, first, batch.timestamp)
            entry = Entry(first, first + len(some), sse.frames(self._run_id, part), self._offset)
            self._entries.append(entry)
            self._offset += entry.weight
            self.end = entry.end

    def trim(self, floor: int) -> None:
        """Let go of what is over the bounds, but of nothing from `floor` on."""
        entries = self._entries
        first = max(self.first, min(self.end - self._max_events, floor))
        while len(entries) > 1 and entries[0].end <= floor:
            if entries[0].end > first and self.weight <= self._max_bytes:
                break
            entries.popleft()
        if entries:
            self.first = max(first, entries[0].first)

    def read(self, start: int) -> Piece | None:
        """Return what is there from sequence `start` on, or a part of it; nothing when nothing is."""
        if start >= self.end:
            return None
        place = self._find(start)
        entry = self._entries[place]
        parts = [sse.skip(entry.body, start - entry.first)]
        room = PIECE_BYTES - len(parts[0])
        for entry_after in islice(self._entries, place + 1, None):
            room -= len(entry_after.body)
            if room < 0:
                break
            entry = entry_after
            parts.append(entry.body)
        return Piece(parts[0] if len(parts) == 1 else b"".join(parts), entry.end)

    def weight_from(self, start: int) -> int:
        """Return what the entries from the one that has `start` weigh."""
        if start >= self.end:
            return 0
        return self._offset - self._entries[self._find(start)].offset

    def _find(self, sequence: int) -> int:
        """Return the place of the entry that has `sequence`."""
        if sequence >= self._entries[-1].first:
            return len(self._entries) - 1
        return bisect_right(self._entries, sequence, key=attrgetter("first")) - 1
