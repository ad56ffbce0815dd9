"""Held runs: those that go on, or are kept, while nobody reads them, so that their callers can come back.

A pump is the one reader of such a run. It encodes each batch once and puts it into the run's kept events; any
number of connections read those by sequence, each event once and in order, be it stored or live.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from dockrion.errors import TooManySubscribersError
from dockrion.events.identity import Identity
from dockrion.events.model import Cancelled, Complete, Failed, Interrupted, Outcome
from dockrion.events.outbox import SOFT_BYTES, SOFT_EVENTS
from dockrion.runs.deadlines import Deadlines
from dockrion.runs.kept import KeptEvents, Piece
from dockrion.runs.run import Run

logger = logging.getLogger(__name__)

MAX_RUN_BYTES: Final = 16 << 20
# Of all runs that have ended; past it the one that ended first goes.
MAX_ENDED_BYTES: Final = 256 << 20
# What an ended run weighs beside its events.
RECORD_BYTES: Final = 2048


class HoldRules(msgspec.Struct, frozen=True, kw_only=True):
    """`window_seconds` is how long a run goes on without a reader; `None`: to its end."""

    window_seconds: float | None
    ttl_seconds: float
    max_events: int
    max_readers: int
    max_run_bytes: int = MAX_RUN_BYTES
    max_ended_bytes: int = MAX_ENDED_BYTES


class Gap(msgspec.Struct, frozen=True, gc=False):
    """The events `first` to `last` are kept no more."""

    first: int
    last: int


class HeldRun:
    """One held run; made by `HeldRuns`. On the event loop only.

    While somebody reads, the pump does not run further ahead of the slowest reader than an outbox is large, and
    nothing that a reader still wants is trimmed. While nobody does, the agent goes on at full speed.
    """

    def __init__(self, run: Run, holder: HeldRuns) -> None:
        rules = holder.rules
        self.run_id = run.run_id
        self.owner = run.context.identity
        self.heartbeat_events = run.heartbeat_events
        self.kept = KeptEvents(
            run.run_id, max_events=rules.max_events, max_bytes=rules.max_run_bytes
        )
        # Until its terminal event is kept; it has the output, which is then in there.
        self.run: Run | None = run
        self.outcome: Outcome | None = None
        self._holder = holder
        self._max_readers = rules.max_readers
        self._readers: set[HeldReader] = set()
        self._waits_for_room = False

    def follow(self, *, after: int) -> HeldReader:
        """Read from the event after that one on, which must have a number below `kept.end`.

        Raises `TooManySubscribersError`. The reader must be left.
        """
        if len(self._readers) >= self._max_readers:
            raise TooManySubscribersError(
                f"The run {self.run_id!r} has {len(self._readers)} readers already "
                "(streaming.connection.max_subscribers_per_run)."
            )
        reader = HeldReader(self, after + 1)
        self._readers.add(reader)
        self._holder.has_readers(self)
        return reader

    def left(self, reader: HeldReader) -> None:
        if reader not in self._readers:
            return
        self._readers.discard(reader)
        self._trim()
        self.room_made()
        if not self._readers:
            self._holder.has_no_readers(self)

    def room_made(self) -> None:
        """Let a pump go on that waits for its readers."""
        if self._waits_for_room and self.run is not None and not self._is_far_ahead():
            self._waits_for_room = False
            self.run.outbox.nudge()

    async def pump(self) -> None:
        """Read the run to its end."""
        run = self.run
        assert run is not None
        outbox = run.outbox
        try:
            while self.outcome is None:
                while self._is_far_ahead() and not outbox.closed:
                    self._waits_for_room = True
                    await outbox.hold()
                    outbox.nudged = False
                batch = await run.next()
                if batch is None:
                    self._pass_heartbeat_on(run)
                    continue
                self.kept.append(batch)
                if batch.is_last:
                    self.outcome = _without_output(run.outcome)
                self._trim()
                for reader in self._readers:
                    reader.wake()
                # What was encoded must not live on while the run is silent.
                del batch
        finally:
            self.run = None
            run.leave()
            for reader in self._readers:
                reader.wake()

    def _is_far_ahead(self) -> bool:
        if not self._readers:
            return False
        slowest = self._slowest()
        kept = self.kept
        return kept.end - slowest >= SOFT_EVENTS or kept.weight_from(slowest) >= SOFT_BYTES

    def _trim(self) -> None:
        self.kept.trim(self._slowest())

    def _slowest(self) -> int:
        """Return the first sequence that a reader has not taken yet."""
        return min((reader.position for reader in self._readers), default=self.kept.end)

    def _pass_heartbeat_on(self, run: Run) -> None:
        if run.outbox.heartbeat_due:
            run.outbox.heartbeat_due = False
            for reader in self._readers:
                reader.heartbeat_due = True
                reader.nudge()


class HeldReader:
    """One connection's place in a held run. `position` is the next sequence that it takes."""

    __slots__ = (
        "_held",
        "_nudged",
        "_waiter",
        "gone",
        "heartbeat_due",
        "outcome",
        "position",
    )

    def __init__(self, held: HeldRun, position: int) -> None:
        self._held = held
        self._nudged = False
        self._waiter: asyncio.Future[None] | None = None
        self.position = position
        self.heartbeat_due = False
        # Whether its caller has gone: there is nobody to read for.
        self.gone = False
        # How the run ended, once all of it has been taken.
        self.outcome: Outcome | None = None

    @property
    def run_id(self) -> str:
        return self._held.run_id

    @property
    def heartbeat_events(self) -> bool:
        return self._held.heartbeat_events

    @property
    def heartbeats(self) -> HeldReader:
        return self

    @property
    def ended(self) -> bool:
        return self.outcome is not None

    async def next(self) -> Piece | Gap | None:
        """Return what comes next as soon as it is there; `None` when the reader was nudged.

        Nothing comes after the piece with which `outcome` is set.
        """
        held = self._held
        kept = held.kept
        while not self._nudged:
            if self.position < kept.first:
                gap = Gap(self.position, kept.first - 1)
                self.position = kept.first
                return gap
            piece = kept.read(self.position)
            if piece is not None:
                self._take(piece)
                return piece
            if held.run is None:
                raise RuntimeError("the pump of a held run failed")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._nudged = False
        return None

    def _take(self, piece: Piece) -> None:
        held = self._held
        self.position = piece.end
        if piece.end == held.kept.end:
            self.outcome = held.outcome
        held.room_made()

    def nudge(self) -> None:
        self._nudged = True
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def beat(self) -> None:
        """Tell that a heartbeat is sent."""
        if self._held.run is not None:
            self._held.run.beat()

    def caller_left(self) -> None:
        self.gone = True
        self.leave()
        self.nudge()

    def leave(self) -> None:
        """Stop reading; may be called twice."""
        self._held.left(self)


class HeldRuns:
    """The held runs of an app, by id: those that run, and those that ended less than their TTL ago."""

    def __init__(self, rules: HoldRules) -> None:
        self.rules = rules
        self._runs: dict[str, HeldRun] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        window = rules.window_seconds
        self._windows: Deadlines[HeldRun] | None = (
            None if window is None else Deadlines(window, _end_unread)
        )
        self._ttl: Deadlines[HeldRun] = Deadlines(rules.ttl_seconds, self._forget)
        # In the order of their ends, with their weights.
        self._ended: dict[HeldRun, int] = {}
        self._ended_bytes = 0
        self._closed = False

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._runs

    def __len__(self) -> int:
        return len(self._runs)

    def hold(self, run: Run) -> HeldRun:
        """Take over a run that has just been started."""
        held = HeldRun(run, self)
        self._runs[held.run_id] = held
        pump = asyncio.get_running_loop().create_task(held.pump())
        self._pumps.add(pump)
        pump.add_done_callback(lambda done: self._pumped(held, done))
        return held

    def find(self, run_id: str, identity: Identity) -> HeldRun | None:
        """Return the run if it is held, and that caller's to see."""
        held = self._runs.get(run_id)
        return held if held is not None and identity.may_see_runs_of(held.owner) else None

    def has_readers(self, held: HeldRun) -> None:
        if self._windows is not None:
            self._windows.discard(held)

    def has_no_readers(self, held: HeldRun) -> None:
        if self._windows is not None and held.run is not None:
            self._windows.add(held)

    async def close(self) -> None:
        """End what is left of the pumps, and forget all."""
        self._closed = True
        for pump in self._pumps:
            pump.cancel()
        if self._pumps:
            await asyncio.wait(self._pumps)
        self._ttl.clear()
        if self._windows is not None:
            self._windows.clear()
        self._runs.clear()
        self._ended.clear()
        self._ended_bytes = 0

    def _pumped(self, held: HeldRun, pump: asyncio.Task[None]) -> None:
        self._pumps.discard(pump)
        if self._windows is not None:
            self._windows.discard(held)
        if pump.cancelled() or self._closed:
            return
        if (failure := pump.exception()) is not None:
            logger.error("a held run broke", exc_info=failure, extra={"run_id": held.run_id})
        if failure is not None or not self.rules.ttl_seconds:
            self._runs.pop(held.run_id, None)
            return
        self._ttl.add(held)
        self._ended[held] = weight = held.kept.weight + RECORD_BYTES
        self._ended_bytes += weight
        while self._ended_bytes > self.rules.max_ended_bytes and len(self._ended) > 1:
            self._forget(next(iter(self._ended)))

    def _forget(self, held: HeldRun) -> None:
        self._ttl.discard(held)
        self._ended_bytes -= self._ended.pop(held)
        del self._runs[held.run_id]


def _end_unread(held: HeldRun) -> None:
    if held.run is not None:
        held.run.caller_left()


def _without_output(outcome: Outcome | None) -> Outcome:
    """How a run ended, without what its last events have already."""
    match outcome:
        case Complete():
            return Complete(None, outcome.latency_seconds, {})
        case Failed():
            return Failed("", outcome.code)
        case Cancelled():
            # A copy: it is not the caller of now who left.
            return Cancelled(outcome.reason)
        case Interrupted():
            return Interrupted([])
        case None:
            raise RuntimeError("the run has not ended")
