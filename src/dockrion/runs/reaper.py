"""The reaper: looks, in every process, after runs that nobody looks after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from dockrion.events.model import Cancelled, Failed, RunStatus
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.ending import UNANSWERED
from dockrion.runs.observer import RunObserver
from dockrion.runs.settling import settle
from dockrion.runs.store.base import RunRecord, RunStore, StoreError

logger = logging.getLogger(__name__)

# Of one look; more come with the next one.
BATCH: Final = 200

_LOST = Failed("The worker that executed the run was lost.", "WORKER_LOST")


class Reaper:
    """Every half lease: brings to a worker what waits without one, and ends what cannot go on."""

    def __init__(
        self,
        store: RunStore,
        dispatcher: Dispatcher,
        timestamps: Callable[[], str],
        is_here: Callable[[str], bool],
        observer: RunObserver,
    ) -> None:
        """`is_here` says whether this process has a run: then it is not lost, and its own heartbeats decide."""
        self._is_here = is_here
        self._store = store
        self._dispatcher = dispatcher
        self._timestamps = timestamps
        self._observer = observer
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(self._store.rules.lease_seconds / 2)
            try:
                await self.look()
            except StoreError as exc:
                logger.warning("runs cannot be looked after: %s", exc)
            except Exception as exc:
                # A bug must not end it: nobody else finds the runs of lost workers.
                logger.error("looking after runs failed", exc_info=exc)

    async def look(self) -> None:
        for record in await self._store.overdue(BATCH):
            if not self._is_here(record.run_id):
                try:
                    await self._look_after(record)
                except StoreError:
                    raise
                except Exception as exc:
                    # One that breaks must not stand in the way of the others.
                    ids = {"run_id": record.run_id}
                    logger.error("looking after a run failed", exc_info=exc, extra=ids)
        await self._store.sweep()

    async def _look_after(self, record: RunRecord) -> None:
        if record.cancel_reason is not None:
            # Also where it was handed back: it is not for a worker to begin it.
            await self._end(record, Cancelled(record.cancel_reason))
        elif record.status is RunStatus.ACCEPTED:
            await self._dispatcher.submit(record)
        elif record.status is RunStatus.INTERRUPTED:
            await self._end(record, _LOST if record.claimed else UNANSWERED)
        elif record.direct or record.attempt >= self._store.rules.max_attempts:
            await self._end(record, _LOST)
        else:
            await self._dispatcher.submit(record)

    async def _end(self, record: RunRecord, terminal: Failed | Cancelled) -> None:
        if await settle(self._store, record, terminal, self._timestamps(), self._observer):
            ids = {"run_id": record.run_id, "attempt": record.attempt}
            logger.warning("run is ended: %s", getattr(terminal, "code", "CANCELLED"), extra=ids)
