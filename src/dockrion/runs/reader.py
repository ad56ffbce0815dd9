"""Readers: the place of one connection in a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from dockrion.events.model import Failed, Interrupt, Interrupted, Outcome, RunStatus
from dockrion.runs.kept import Piece, piece_of
from dockrion.runs.store.base import FINAL, Entry, StoreError

if TYPE_CHECKING:
    from dockrion.runs.channel import Channel, Channels

# Between two tries to read from a store that does not answer.
RETRY_SECONDS: Final = 0.5
# How a run ended for those who still read when nothing of it was left.
FORGOTTEN: Final = Failed("The run is kept no more.", "SERVICE_UNAVAILABLE")


class Gap(msgspec.Struct, frozen=True, gc=False):
    """The events `first` to `last` are kept no more."""

    first: int
    last: int


class Reader:
    """One follower's place in a run. `position` is the next sequence that it takes.

    It has `ended` once nothing more comes for it: after the terminal event, after the run is kept no more, after
    `close`, and where `stops_at_questions` after the questions of a run that waits.
    """

    __slots__ = (
        "_channel",
        "_closing",
        "_nudged",
        "_rules",
        "_seen",
        "_store",
        "_waiter",
        "ended",
        "flush",
        "gone",
        "heartbeat_due",
        "observer",
        "outcome",
        "position",
        "stops_at_questions",
    )

    def __init__(
        self,
        channel: Channel,
        position: int,
        channels: Channels,
        *,
        seen: int,
        stops_at_questions: bool,
    ) -> None:
        self._channel = channel
        self._rules = channels.rules
        self._store = channels.store
        self._nudged = False
        self._closing = False
        self._waiter: asyncio.Future[None] | None = None
        # Takes what has come, and sends it, while the follower waits in `next`; false when that has to look for itself.
        self.flush: Callable[[Piece | None], bool] | None = None
        self.observer = channels.observer
        self.position = position
        self._seen = seen
        self.stops_at_questions = stops_at_questions
        self.heartbeat_due = False
        # Whether its caller has gone: there is nobody to read for.
        self.gone = False
        self.ended = False
        # How the run ended, or stopped, once all of it has been taken; which questions it waits with, where the store knows.
        self.outcome: Outcome | None = None

    @property
    def run_id(self) -> str:
        return self._channel.run_id

    @property
    def heartbeat_events(self) -> bool:
        return self._rules.heartbeat_events

    @property
    def heartbeats(self) -> Reader:
        return self

    async def next(self) -> Piece | Gap | None:
        """Return what comes next as soon as it is there; `None` when the reader was nudged, or has ended.

        Nothing comes after the piece with which `ended` is set.
        """
        while not self._nudged:
            entries = self._channel.cached(self.position)
            if entries is None:
                found = await self._from_store()
                if found is not None:
                    await self._look_at_questions()
                    return found
                continue
            if entries:
                piece = self._take(entries)
                await self._look_at_questions()
                return piece
            if self._has_all() or (self._closing and self._channel.caught_up):
                self.ended = True
                await self._look_at_questions()
                if self.ended:
                    return None
                continue
            await self._wait()
        self._nudged = False
        return None

    def take(self, fresh: Piece | None) -> Piece | None:
        """Return what has come, for a follower that waits in `next`: what is `fresh`, or more. None when that has to look
        for itself, as where a run goes on elsewhere: the channel reads on when a follower has found nothing.
        """
        channel = self._channel
        if self._nudged or not channel.is_fed or channel.status is not RunStatus.RUNNING:
            return None
        if fresh is not None and fresh.first == self.position:
            return self._advance(fresh)
        entries = channel.cached(self.position)
        return self._advance(piece_of(entries, self.position)) if entries else None

    @property
    def has_caught_up(self) -> bool:
        return self.position >= self._channel.end

    async def _from_store(self) -> Piece | Gap | None:
        try:
            page = await self._store.read(self.run_id, self.position)
        except StoreError:
            await asyncio.sleep(RETRY_SECONDS)
            return None
        if page is None:
            self.lose()
            return None
        if page.first > self.position:
            gap = Gap(self.position, page.first - 1)
            self.position = page.first
            return gap
        if not page.entries:
            # A store that was set back has not what it had.
            await asyncio.sleep(RETRY_SECONDS)
            return None
        return self._take(page.entries)

    def _take(self, entries: list[Entry]) -> Piece:
        piece = self._advance(piece_of(entries, self.position))
        self.ended = self._has_all()
        return piece

    def _advance(self, piece: Piece) -> Piece:
        self.position = piece.end
        self._channel.room_made()
        return piece

    def _has_all(self) -> bool:
        channel = self._channel
        if channel.is_over(self.position):
            self.outcome = channel.outcome
            return True
        # One who comes back to a run that waits gets what follows the answer.
        new = self.position > self._seen
        if self.stops_at_questions and new and channel.waits(self.position):
            self.outcome = Interrupted([])
            return True
        return False

    async def _look_at_questions(self) -> None:
        """Find out which questions are open, where they are what it has ended with: events tell of no answers."""
        if not isinstance(self.outcome, Interrupted):
            return
        # Of a store that does not answer there are the events.
        with suppress(StoreError):
            record = await self._store.get(self.run_id)
            if record is None:
                return
            if record.status is RunStatus.INTERRUPTED:
                asked = [Interrupt(one.value, one.interrupt_id) for one in record.questions]
                self.outcome = Interrupted(asked)
            elif record.status not in FINAL:
                # They have been answered just now, and the run goes on.
                self.ended, self.outcome, self._seen = False, None, self.position

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def nudge(self) -> None:
        self._nudged = True
        self.wake()

    def offered(self, fresh: Piece | None) -> None:
        """Something has come; `fresh` is the last of it, where it is at hand."""
        waiter = self._waiter
        if waiter is not None and not waiter.done() and not (self.flush and self.flush(fresh)):
            self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def beat(self) -> None:
        """Tell that a heartbeat is sent, which is an event only where the filter allows it."""
        if self.heartbeat_events:
            self.observer.heartbeat()

    def lose(self) -> None:
        """The run is kept no more."""
        self.ended = True
        self.outcome = FORGOTTEN
        self.nudge()

    def close(self) -> None:
        """Let it end once it has taken what is there."""
        self._closing = True
        self.wake()

    def caller_left(self) -> None:
        self.gone = True
        self.leave()
        self.nudge()

    def break_off(self, failure: Failed) -> None:
        """Stop reading, since what is read cannot be told; the run goes on as without this reader."""
        self.outcome = failure
        self.leave()

    def leave(self) -> None:
        """Stop reading; may be called twice."""
        self._channel.remove(self)
