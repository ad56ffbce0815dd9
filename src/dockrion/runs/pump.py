"""Pumps: the one reader of a run that is kept. What it stores is what everybody else sees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Failed,
    Interrupt,
    Interrupted,
    Outcome,
    RunStatus,
)
from dockrion.runs.channel import Channels, Feed
from dockrion.runs.ending import LOST, UNANSWERED
from dockrion.runs.kept import entries_of
from dockrion.runs.run import Run
from dockrion.runs.settling import ended_as, without_output
from dockrion.runs.store.base import (
    MAX_WAIT_SECONDS,
    AppendNow,
    CancelAskedError,
    Claim,
    Entry,
    LeaseLostError,
    Question,
    RunStore,
    StoreError,
)

logger = logging.getLogger(__name__)

# Between two tries to write to a store that does not answer.
_FIRST_RETRY_SECONDS: Final = 0.05
_LAST_RETRY_SECONDS: Final = 1.0

UNSTORED = Failed("The run's events cannot be stored.", "SERVICE_UNAVAILABLE")


class Pump:
    """Reads one run to its end, or for as long as the claim lasts. On the event loop.

    A `paced` run does not get further ahead of its slowest follower here than an outbox is large; while nobody
    follows, and where it is not paced, the agent goes on at full speed.
    """

    def __init__(
        self, run: Run, claim: Claim, store: RunStore, channels: Channels, *, paced: bool
    ) -> None:
        self.run = run
        self.claim = claim
        # Until then, in `monotonic` seconds, nobody else takes the run; heartbeats move it.
        self.lease_ends = monotonic() + store.rules.lease_seconds
        # Whether the run goes back to the others instead of ending.
        self.hands_back = False
        # Set once all is done.
        self.over = asyncio.Event()
        self._store = store
        self._channels = channels
        self.paced = paced
        # Whether it goes on to its end whoever follows, and whatever the windows of direct runs are.
        self.outlives = False
        self._waits_for_room = False
        # While its code waits for an answer: the store sees a run that somebody has.
        self._waits_until: asyncio.TimerHandle | None = None
        # What the store has not taken yet.
        self._unstored: list[Entry] = []
        # Whether `flush` has found that somebody else has the run.
        self._is_lost = False
        record = claim.record
        if run.is_waiting:
            self._wait()
        if store.append_now is not None and run.takes_now:
            run.outbox.flush = partial(self._flush, store.append_now)
        # At once: whoever follows from now on need not look into the store.
        channels.begin(run.run_id, Feed(record.end, record.status, paced, self._room_made))

    @property
    def run_id(self) -> str:
        return self.claim.run_id

    @property
    def stays_here(self) -> bool:
        """Whether no other process could go on with it: a stream of this one, until it has been answered."""
        record = self.claim.record
        return record.direct and record.answers is None

    @property
    def may_begin_again(self) -> bool:
        """Whether another worker may start the run, too."""
        return not self.run.began or self.claim.record.attempt < self._store.rules.max_attempts

    async def work(self) -> None:
        """Read the run to its end. Returns when another worker has it, too."""
        run = self.run
        try:
            await self._read_all()
        except LeaseLostError:
            logger.warning("run was taken from this worker", extra={"run_id": self.run_id})
            run.stop(LOST)
        except StoreError as exc:
            logger.error("a run is given up: %s", exc, extra={"run_id": self.run_id})
            await self._tell_followers()
        finally:
            run.outbox.flush = None
            self._wait_no_more()
            run.leave()
            self._channels.end(self.run_id)

    async def _read_all(self) -> None:
        run = self.run
        while True:
            await self._keep_pace()
            batch = await run.next()
            if self._is_lost:
                raise LeaseLostError(self.run_id)
            if batch is None:
                self._pass_heartbeat_on()
                continue
            if not batch.is_last:
                await self._append(batch)
            elif self._goes_back:
                await self._insist(lambda: self._store.release(self.claim, begun=run.began))
                return
            elif await self._is_over(batch):
                return
            # What was encoded must not live on while the run is silent.
            del batch

    @property
    def _goes_back(self) -> bool:
        """Whether it is for the others that the run has stopped; it may have come to its own end just before."""
        return self.hands_back and self.run.is_lost and self.may_begin_again

    async def _append(self, batch: Batch) -> None:
        entries = self._encoded(batch)
        await self._insist(lambda: self._store.append(self.claim, entries))
        self._stored(self._status, batch=batch)

    @property
    def _status(self) -> RunStatus:
        # What is said beside an open question answers none.
        return RunStatus.INTERRUPTED if self.run.is_waiting else RunStatus.RUNNING

    def _flush(self, append_now: AppendNow) -> bool:
        """Store and offer in the agent's own step what its code has emitted, while the pump waits for that; false
        when the pump has to go on with it. It saves a switch of tasks for each paced token.
        """
        if self.paced and self._channels.is_far_behind(self.run_id):
            return False
        batch = self.run.take()
        if batch is None:
            return True
        entries = entries_of(self.run_id, batch)
        try:
            append_now(self.claim, entries)
        except LeaseLostError:
            self._is_lost = True
            self.run.outbox.nudge()
            return False
        self._channels.offer(self.run_id, entries, self._status, batch=batch)
        return True

    async def _is_over(self, batch: Batch) -> bool:
        """Store a batch that ends with the terminal event, or with questions; False when the run only waits."""
        try:
            if isinstance(batch.events[-1], Interrupt):
                return await self._interrupt(batch)
            await self._finish(batch, self.run.outcome)
        except CancelAskedError as asked:
            if self.run.is_waiting:
                self.run.stop(Cancelled(asked.reason))
                # The cancel comes after the questions, which have their numbers.
                await self._append(batch)
                return False
            await self._finish(*_cancelled(batch, asked.reason))
        return True

    async def _interrupt(self, batch: Batch) -> bool:
        run = self.run
        waits = run.is_waiting
        questions = questions_of(run)
        entries = self._encoded(batch)
        await self._insist(
            lambda: self._store.interrupt(self.claim, entries, questions, claimed=waits)
        )
        # Whoever answers need not be who follows.
        self.paced = False
        self._channels.unpace(self.run_id)
        self._stored(RunStatus.INTERRUPTED)
        if waits and run.is_waiting:
            self._wait()
        return not waits

    async def _finish(self, batch: Batch, outcome: Outcome | None) -> None:
        entries = self._encoded(batch)
        status, result = ended_as(outcome, self.run.metadata())
        await self._insist(lambda: self._store.finish(self.claim, entries, status, result))
        self._stored(status, outcome)

    def _encoded(self, batch: Batch) -> list[Entry]:
        self._unstored = entries_of(self.run_id, batch)
        return self._unstored

    def _stored(
        self, status: RunStatus, outcome: Outcome | None = None, *, batch: Batch | None = None
    ) -> None:
        entries, self._unstored = self._unstored, []
        self._channels.offer(self.run_id, entries, status, without_output(outcome), batch)

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until the store answers, for a lease at most: one that takes heartbeats alone is no use, and once
        the lease has passed others may have the run.
        """
        delay = _FIRST_RETRY_SECONDS
        ends = monotonic() + self._store.rules.lease_seconds
        while True:
            try:
                return await write()
            except StoreError:
                if monotonic() + delay >= min(ends, self.lease_ends):
                    raise
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_RETRY_SECONDS)

    async def _tell_followers(self) -> None:
        """Give those who follow here a last event that nobody stores: a stream must not end without a word."""
        run = self.run
        run.stop(UNSTORED)
        if not self.paced:
            return
        while run.outcome is None:
            batch = await run.next()
            if batch is not None:
                self._unstored += entries_of(self.run_id, batch)
        self._stored(RunStatus.FAILED, run.outcome)

    def answer(self, answers: dict[str, Any]) -> None:
        """Give the run's code what it waits for."""
        self.run.answer(answers)
        if not self.run.is_waiting:
            self._wait_no_more()
            self._channels.offer(self.run_id, [], RunStatus.RUNNING)

    def _wait(self) -> None:
        if self._waits_until is None:
            loop = asyncio.get_running_loop()
            self._waits_until = loop.call_later(MAX_WAIT_SECONDS, self.run.stop, UNANSWERED)

    def _wait_no_more(self) -> None:
        if self._waits_until is not None:
            self._waits_until.cancel()
            self._waits_until = None

    # Pace

    async def _keep_pace(self) -> None:
        outbox = self.run.outbox
        while self.paced and self._channels.is_far_behind(self.run_id) and not outbox.closed:
            self._waits_for_room = True
            await outbox.hold()
            outbox.nudged = False

    def _room_made(self) -> None:
        if self._waits_for_room and not self._channels.is_far_behind(self.run_id):
            self._waits_for_room = False
            self.run.outbox.nudge()

    def _pass_heartbeat_on(self) -> None:
        outbox = self.run.outbox
        if outbox.heartbeat_due:
            outbox.heartbeat_due = False
            self._channels.beat(self.run_id)


def _cancelled(batch: Batch, reason: str) -> tuple[Batch, Cancelled]:
    """Let a batch that ends a run end with the cancel that has been promised."""
    events = list(batch.events)
    while isinstance(events[-1], Complete | Failed | Cancelled | Interrupt):
        events.pop()
        if not events:
            break
    terminal = Cancelled(reason)
    return Batch([*events, terminal], batch.first, batch.timestamp), terminal


def questions_of(run: Run) -> list[Question]:
    """Return what a run that has asked waits for: in its code, or, where that has ended, with its outcome."""
    asked = run.questions
    if not run.is_waiting:
        asked = run.outcome.interrupts if isinstance(run.outcome, Interrupted) else []
    return [Question(one.interrupt_id, one.value) for one in asked]
