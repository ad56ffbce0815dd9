"""Channels: the followers of one run in this process, and what they share.

Events come into a channel from the run's own pump, where the run is executed here, else from the store, read once
for all followers. Each follower reads by sequence: what is stored and what is live come from one place, each event
once and in order. One that has fallen behind what a channel keeps reads from the store by itself; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from dockrion.errors import TooManySubscribersError
from dockrion.events.model import Batch, Outcome, RunStatus
from dockrion.events.outbox import SOFT_BYTES, SOFT_EVENTS
from dockrion.runs.kept import KeptEvents, Piece, piece_of
from dockrion.runs.observer import RunObserver
from dockrion.runs.reader import RETRY_SECONDS, Reader
from dockrion.runs.settling import outcome_of
from dockrion.runs.store.base import FINAL, Entry, Page, RunStore, StoreError

logger = logging.getLogger(__name__)

T = TypeVar("T")

# More than a pump runs ahead of a reader that it waits for.
CACHED_EVENTS: Final = 8 * SOFT_EVENTS
CACHED_BYTES: Final = 4 * SOFT_BYTES


class ReadRules(msgspec.Struct, frozen=True, kw_only=True):
    max_readers: int
    heartbeat_events: bool


class Channel:
    """One run that somebody follows here; made by `Channels`. On the event loop only.

    `status` and `end` are as of the last event that came in. `is_fed` while a pump of this process has the run;
    where that is `paced`, the pump waits for its followers, and nothing that they still want goes.
    """

    def __init__(self, run_id: str, start: int, channels: Channels) -> None:
        self.run_id = run_id
        self.status = RunStatus.ACCEPTED
        self.end = start
        # How the run ended, without its output.
        self.outcome: Outcome | None = None
        self.is_fed = False
        # Whether nothing more was in the store when it was read last.
        self.caught_up = False
        self.paced = False
        self.on_room: Callable[[], None] | None = None
        self.readers: set[Reader] = set()
        self._channels = channels
        self._store = channels.store
        self._cache = _cache(start)
        self._filler: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._dirty = asyncio.Event()

    # What comes in

    def feed(self, feed: Feed) -> None:
        """From now on a pump of this process offers what comes."""
        self.is_fed, self.paced, self.on_room = True, feed.paced, feed.on_room
        self.caught_up = True
        if self._filler is None or self._cache.end < feed.end:
            # What nobody has read yet is in the store.
            self._cache = _cache(feed.end)
        self.status, self.end = feed.status, max(self.end, feed.end)
        self.wake()

    def starve(self) -> None:
        """The pump is gone, and the run may not be over: read on from the store."""
        self.is_fed, self.on_room = False, None
        self.caught_up = self.status in FINAL
        if self.status not in FINAL:
            self._start_filler()
        self.wake()

    def offer(
        self,
        entries: list[Entry],
        status: RunStatus,
        outcome: Outcome | None,
        batch: Batch | None = None,
    ) -> None:
        """Take what the run's own pump has stored; `batch` is the same, where it is all of that."""
        self.outcome = outcome
        if not entries:
            self._take(entries, status, self.end)
            return
        piece = piece_of(entries, entries[0].first, batch)
        self._take(entries, status, piece.end, piece)

    def _take(
        self, entries: list[Entry], status: RunStatus, end: int, fresh: Piece | None = None
    ) -> None:
        new = [entry for entry in entries if entry.end > self._cache.end]
        if new and new[0].first != self._cache.end:
            # Some are missing between, or the first follower began inside of an entry, which is kept whole.
            self._cache = _cache(new[0].first)
        self._cache.append(new)
        self._cache.trim(self.slowest() if self.paced else None)
        self.status = status
        self.end = max(self.end, end)
        for reader in self.readers:
            reader.offered(fresh)

    def _start_filler(self) -> None:
        if self._filler is None:
            self._filler = asyncio.get_running_loop().create_task(self._fill())
        self._dirty.set()

    async def _fill(self) -> None:
        """Read from the store what followers want, for as long as there are any."""
        try:
            # First watch, then read: nothing is missed in between.
            await _persistently(lambda: self._store.watch(self.run_id, self._dirty.set))
            while True:
                await self._wanted.wait()
                await self._changed()
                self._dirty.clear()
                page = await _persistently(lambda: self._store.read(self.run_id, self._cache.end))
                if page is None:
                    # Its TTL has passed, or the backend was emptied.
                    self.lose()
                    return
                if page.status in FINAL:
                    self.outcome = await _persistently(self._ended_as)
                if not self.is_fed:
                    # Else the pump knows more by now.
                    self._fill_with(page)
        except Exception as exc:
            # A bug: who follows comes back, and must not wait for what never comes.
            logger.error("following a run failed", exc_info=exc, extra={"run_id": self.run_id})
            self.lose()
        finally:
            self._store.unwatch(self.run_id, self._dirty.set)

    async def _changed(self) -> None:
        """Wait for word of a change, but not for ever: of a backend that was emptied there is none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._store.rules.lease_seconds):
                await self._dirty.wait()

    def _fill_with(self, page: Page) -> None:
        entries = page.entries
        trimmed = page.first > self._cache.end
        if entries and entries[-1].end < page.end:
            self._dirty.set()
        self._wanted.clear()
        self.caught_up = not entries or entries[-1].end >= page.end
        self._take(entries, page.status, page.end)
        if trimmed:
            # The oldest entry may begin with events that are kept no more.
            self._cache.first = max(self._cache.first, page.first)

    async def _ended_as(self) -> Outcome:
        record = await self._store.get(self.run_id)
        return outcome_of(record)

    def lose(self) -> None:
        for reader in tuple(self.readers):
            reader.lose()

    # Followers

    def add(self, reader: Reader) -> None:
        self.readers.add(reader)
        if not self.is_fed:
            self._start_filler()

    def remove(self, reader: Reader) -> None:
        if reader in self.readers:
            self.readers.discard(reader)
            self._channels.reader_left(self)
            self.room_made()

    def close(self) -> None:
        if self._filler is not None:
            self._filler.cancel()
            self._filler = None

    def wake(self) -> None:
        for reader in self.readers:
            reader.wake()

    def room_made(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def slowest(self) -> int:
        """Return the first sequence that the stream of its caller has not taken yet; subscribers hold up nobody."""
        slowest = self._cache.end
        for reader in self.readers:
            if reader.stops_at_questions and reader.position < slowest:
                slowest = reader.position
        return slowest

    @property
    def is_far_behind(self) -> bool:
        """Whether a direct stream has so much to take that a pump that waits for it should wait now."""
        cache, slowest = self._cache, self.slowest()
        if cache.end - slowest >= SOFT_EVENTS:
            return True
        return slowest >= cache.first and cache.weight_from(slowest) >= SOFT_BYTES

    def cached(self, position: int) -> list[Entry] | None:
        """Return entries from `position` on, none when nothing is there yet; None when they are in the store alone."""
        cache = self._cache
        if position < cache.first:
            return None
        entries = cache.read(position)
        if not entries and not self.is_fed:
            self._wanted.set()
        return entries

    def is_over(self, position: int) -> bool:
        """Whether nothing comes after what a follower at `position` has taken."""
        return position >= self.end and self.status in FINAL

    def waits(self, position: int) -> bool:
        """Whether the run waits for answers, and a follower at `position` knows the questions."""
        return position >= self.end and self.status is RunStatus.INTERRUPTED


class Feed(msgspec.Struct):
    """A run whose pump is in this process: how far it has come. `paced`: the pump waits for followers here."""

    end: int
    status: RunStatus
    paced: bool
    on_room: Callable[[], None] | None = None


class Channels:
    """The runs that are followed in this process, by id, and those that are pumped here."""

    def __init__(self, store: RunStore, rules: ReadRules, observer: RunObserver) -> None:
        self.store = store
        self.rules = rules
        self.observer = observer
        # Told of a channel that has its first follower, or none any more.
        self.on_followers: Callable[[str, bool], None] | None = None
        self._channels: dict[str, Channel] = {}
        self._feeds: dict[str, Feed] = {}
        self._closing = False

    def follow(
        self,
        run_id: str,
        start: int,
        *,
        seen: int | None = None,
        stops_at_questions: bool = False,
    ) -> Reader:
        """Follow a run that is there from sequence `start` on. The reader must be left.

        `seen`: what comes before that one its caller knows, questions too; without it, what comes before `start`.
        Raises `TooManySubscribersError`.
        """
        channel = self._channels.get(run_id)
        if channel is None:
            channel = self._channels[run_id] = Channel(run_id, start, self)
            feed = self._feeds.get(run_id)
            if feed is not None:
                channel.feed(feed)
        elif len(channel.readers) >= self.rules.max_readers:
            raise TooManySubscribersError(
                f"The run {run_id!r} has {len(channel.readers)} readers already "
                "(streaming.connection.max_subscribers_per_run)."
            )
        reader = Reader(
            channel,
            start,
            self,
            seen=start if seen is None else seen,
            stops_at_questions=stops_at_questions,
        )
        first = not channel.readers
        channel.add(reader)
        if first and self.on_followers is not None:
            self.on_followers(run_id, True)
        if self._closing:
            reader.close()
        return reader

    def reader_left(self, channel: Channel) -> None:
        if channel.readers:
            return
        channel.close()
        del self._channels[channel.run_id]
        if self.on_followers is not None:
            self.on_followers(channel.run_id, False)

    def has_followers(self, run_id: str) -> bool:
        return run_id in self._channels

    @property
    def followed(self) -> list[str]:
        return list(self._channels)

    def begin(self, run_id: str, feed: Feed) -> None:
        """A pump of this process has the run."""
        self._feeds[run_id] = feed
        channel = self._channels.get(run_id)
        if channel is not None:
            channel.feed(feed)

    def offer(
        self,
        run_id: str,
        entries: list[Entry],
        status: RunStatus,
        outcome: Outcome | None = None,
        batch: Batch | None = None,
    ) -> None:
        """Pass on what a pump has stored; `batch` is the same, where it is all of that."""
        feed = self._feeds[run_id]
        feed.status = status
        if entries:
            feed.end = entries[-1].end
        channel = self._channels.get(run_id)
        if channel is not None:
            channel.offer(entries, status, outcome, batch)

    def end(self, run_id: str) -> None:
        """The pump is done with the run, or has lost it."""
        self._feeds.pop(run_id, None)
        channel = self._channels.get(run_id)
        if channel is not None:
            channel.starve()

    def unpace(self, run_id: str) -> None:
        """The pump waits for followers no more."""
        self._feeds[run_id].paced = False
        channel = self._channels.get(run_id)
        if channel is not None:
            channel.paced = False

    def is_far_behind(self, run_id: str) -> bool:
        channel = self._channels.get(run_id)
        return channel is not None and channel.is_far_behind

    def beat(self, run_id: str) -> None:
        """The agent asks for a heartbeat on the connections of its run."""
        channel = self._channels.get(run_id)
        if channel is not None:
            for reader in channel.readers:
                reader.heartbeat_due = True
                reader.nudge()

    def close_readers(self) -> None:
        """Let all followers end where they are: they come back elsewhere."""
        self._closing = True
        for channel in tuple(self._channels.values()):
            for reader in tuple(channel.readers):
                reader.close()

    def close(self) -> None:
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._feeds.clear()


def _cache(first: int) -> KeptEvents:
    return KeptEvents(max_events=CACHED_EVENTS, max_bytes=CACHED_BYTES, first=first)


async def _persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Call until the store answers."""
    while True:
        try:
            return await call()
        except StoreError:
            await asyncio.sleep(RETRY_SECONDS)
