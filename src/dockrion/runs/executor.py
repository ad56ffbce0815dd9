"""Executing runs that are kept: those of the store, which it claims, and direct ones of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from dockrion.errors import DockrionError, ShuttingDownError
from dockrion.events.model import Cancelled, Failed
from dockrion.runs.accepted import Accepted
from dockrion.runs.channel import Channels
from dockrion.runs.ending import INTERNAL, LOST
from dockrion.runs.leases import Leases
from dockrion.runs.pump import Pump
from dockrion.runs.run import Run
from dockrion.runs.runner import Runner
from dockrion.runs.settling import last_word
from dockrion.runs.store.base import (
    Beat,
    CancelAskedError,
    Claim,
    LeaseLostError,
    RunStore,
    StoreError,
)

logger = logging.getLogger(__name__)

# A run that could be found and not begun keeps its place for so long: it would be found again at once.
_PAUSE_SECONDS: Final = 0.5


class Executor:
    """One for each app. `timestamps` gives the time of events; `to_others` is told of runs that were handed back, `unkept`
    of orders for runs that are not pumped here.
    """

    def __init__(
        self,
        store: RunStore,
        channels: Channels,
        runner: Runner,
        timestamps: Callable[[], str],
        to_others: Callable[[str], Coroutine[Any, Any, None]],
        unkept: Callable[[str], None] | None = None,
    ) -> None:
        self._store = store
        self._channels = channels
        self._runner = runner
        self._timestamps = timestamps
        self._to_others = to_others
        self._unkept = unkept
        self._loop = asyncio.get_running_loop()
        self._leases = Leases(store, self._loop, self._told)
        self._pumps: dict[str, Pump] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._pumps

    def pump_of(self, run_id: str) -> Pump | None:
        return self._pumps.get(run_id)

    async def open(self) -> None:
        """Hear of orders; an app whose store is away for a while begins as soon as it is back."""
        while True:
            try:
                return await self._store.watch_orders(self._ordered)
            except StoreError as exc:
                logger.warning("orders cannot be heard yet: %s", exc)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def execute(self, run_id: str) -> None:
        """Claim a run and bring it to its end; nothing where there is nothing to do. Never raises."""
        with self._counted():
            try:
                claim = await self._store.claim(run_id)
                if claim is not None:
                    await self._without_earlier(run_id)
                    await self._execute(claim)
            except StoreError as exc:
                logger.warning("a run cannot be claimed: %s", exc, extra={"run_id": run_id})
                await asyncio.sleep(_PAUSE_SECONDS)
            except LeaseLostError:
                logger.warning("run was taken from this worker", extra={"run_id": run_id})

    def adopt(self, run: Run, claim: Claim, *, paced: bool, outlives: bool = False) -> Pump:
        """Pump a run of this process from here on, in a task of its own."""
        pump = self._made(run, claim, paced=paced)
        pump.outlives = outlives
        self._spawn(self._work(pump))
        if run.is_waiting:
            # It may have been answered before it was known here.
            self._spawn(self._obey(pump))
        return pump

    async def refuse(self, claim: Claim, why: DockrionError) -> None:
        """End a run that could not be begun; where that cannot be stored, the reaper finds it."""
        try:
            await self._end(claim, Failed(why.message, why.code))
        except (StoreError, LeaseLostError, CancelAskedError) as exc:
            logger.warning("a run's end cannot be stored: %s", exc, extra={"run_id": claim.run_id})

    def rest(self) -> None:
        """Let runs go back that have not begun here: they still wait for their turn, or for a thread."""
        self._give_back(pump for pump in self._pumps.values() if not pump.run.began)

    def hand_back(self) -> None:
        """Let runs that may be begun again elsewhere go back, at once; they stop here.

        Those whose code waits for an answer may not: what they wait with is here.
        """
        self._give_back(
            pump
            for pump in self._pumps.values()
            if pump.may_begin_again and not pump.run.is_waiting
        )

    def _give_back(self, pumps: Iterable[Pump]) -> None:
        for pump in tuple(pumps):
            if not pump.stays_here:
                pump.hands_back = True
                pump.run.stop(LOST)

    async def idle(self) -> None:
        """Wait until all pumps are done, and all runs that were claimed and not begun are handed back."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.idle()
        self._leases.close()

    async def _execute(self, claim: Claim) -> None:
        record = claim.record
        if record.cancel_reason is not None:
            cancelled = Cancelled(record.cancel_reason)
            await self._end(claim, cancelled)
            self._channels.observer.ended(cancelled)
            return
        accepted = Accepted(first=record.end, attempt=record.attempt, answers=record.answers)
        try:
            run = self._runner.start(
                msgspec.json.decode(claim.payload),
                run_id=record.run_id,
                thread_id=record.thread_id,
                identity=record.owner,
                request_id=record.request_id,
                streams=True,
                accepted=accepted,
                cause=record.trace,
            )
        except DockrionError as exc:
            # It drains, or has no thread: others may have better luck.
            logger.info("run is handed back: %s", exc, extra={"run_id": record.run_id})
            await self._store.release(claim, begun=False)
            if isinstance(exc, ShuttingDownError):
                await self._to_others(record.run_id)
            else:
                await asyncio.sleep(_PAUSE_SECONDS)
            return
        await self._work(self._made(run, claim, paced=False))

    async def _without_earlier(self, run_id: str) -> None:
        """Wait for the end of an attempt of this process that has lost the run, and may not have heard of it yet."""
        while (earlier := self._pumps.get(run_id)) is not None:
            earlier.run.stop(LOST)
            await earlier.over.wait()

    async def _end(self, claim: Claim, terminal: Failed | Cancelled) -> None:
        last = last_word(claim.record, terminal, self._timestamps())
        await self._store.finish(claim, [last.entry], last.status, last.result)

    def _made(self, run: Run, claim: Claim, *, paced: bool) -> Pump:
        pump = Pump(run, claim, self._store, self._channels, paced=paced)
        self._pumps[claim.run_id] = pump
        self._leases.add(pump)
        self._channels.observer.at_work(len(self._pumps))
        return pump

    async def _work(self, pump: Pump) -> None:
        try:
            await pump.work()
            if pump.hands_back:
                await self._to_others(pump.run_id)
        except Exception as exc:
            logger.error("a kept run broke", exc_info=exc, extra={"run_id": pump.run_id})
            await self._give_up(pump)
        finally:
            self._leases.discard(pump)
            del self._pumps[pump.run_id]
            self._channels.observer.at_work(len(self._pumps))
            pump.over.set()

    async def _give_up(self, pump: Pump) -> None:
        """End a run whose pump met a bug; where that cannot be, the reaper finds it."""
        try:
            record = await self._store.get(pump.run_id)
            if record is not None:
                claim = msgspec.structs.replace(pump.claim, record=record)
                await self._end(claim, INTERNAL)
        except Exception as exc:
            logger.error("its end cannot be stored", exc_info=exc, extra={"run_id": pump.run_id})

    def _told(self, pump: Pump, beat: Beat) -> None:
        if pump.over.is_set():
            return
        if beat.cancel_reason is not None:
            pump.run.stop(Cancelled(beat.cancel_reason))
        elif beat.is_lost:
            # It may be that nobody has it: the store has not answered, and does again.
            pump.hands_back = not (pump.stays_here or pump.run.is_waiting)
            pump.run.stop(LOST)

    def _ordered(self, run_id: str | None) -> None:
        for ordered in tuple(self._pumps) if run_id is None else (run_id,):
            pump = self._pumps.get(ordered)
            if pump is not None:
                self._spawn(self._obey(pump))
            elif self._unkept is not None:
                self._unkept(ordered)

    async def _obey(self, pump: Pump) -> None:
        """Do what is asked of a run: end it, or give it answers."""
        while not pump.over.is_set():
            try:
                await self._obey_once(pump)
                return
            except StoreError as exc:
                # Nobody says it again.
                logger.warning(
                    "a run's orders cannot be read: %s", exc, extra={"run_id": pump.run_id}
                )
            except LeaseLostError:
                pump.run.stop(LOST)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _obey_once(self, pump: Pump) -> None:
        record = await self._store.get(pump.run_id)
        if record is None:
            return
        if record.cancel_reason is not None:
            pump.run.stop(Cancelled(record.cancel_reason))
        elif record.answers and pump.run.is_waiting:
            # First: once the store has let go of them, there is no other who could give them.
            pump.answer(record.answers)
            await self._store.answers_taken(pump.claim, list(record.answers))

    @contextmanager
    def _counted(self) -> Generator[None]:
        """Let `idle` and `close` wait for the task that this is in."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
