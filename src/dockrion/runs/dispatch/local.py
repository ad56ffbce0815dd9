"""Dispatch on one machine: whoever has a free place looks into the store for the run that has waited longest."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from dockrion.runs.dispatch.base import Execute
from dockrion.runs.store.base import LocalWork, RunRecord, StoreError

logger = logging.getLogger(__name__)

# How long a worker waits for word before it looks by itself.
LOOK_SECONDS: Final = 1.0


class LocalDispatcher:
    """`Dispatcher` for stores that can tell what is claimable."""

    def __init__(self, work: LocalWork) -> None:
        self._work = work
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None
        self._executing: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        pass

    async def submit(self, record: RunRecord) -> None:  # noqa: ARG002
        self._changed.set()

    def work(self, execute: Execute, concurrency: int) -> None:
        self._work.watch_work(self._changed.set)
        self._looking = asyncio.get_running_loop().create_task(self._look(execute, concurrency))

    def rest(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def close(self) -> None:
        self.rest()
        tasks = [*self._executing.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _look(self, execute: Execute, concurrency: int) -> None:
        while True:
            self._changed.clear()
            free = concurrency - len(self._executing)
            if free > 0:
                # Those that run here may stand in the list until their claim has gone through.
                for run_id in await self._found(free + len(self._executing)):
                    if len(self._executing) < concurrency and run_id not in self._executing:
                        self._execute(execute, run_id)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _found(self, limit: int) -> list[str]:
        try:
            return await self._work.claimable(limit)
        except StoreError as exc:
            logger.warning("no runs can be looked for: %s", exc)
        except Exception as exc:
            # A bug must not end the looking: nobody else finds what waits.
            logger.error("looking for runs failed", exc_info=exc)
        return []

    def _execute(self, execute: Execute, run_id: str) -> None:
        task = asyncio.get_running_loop().create_task(execute(run_id))
        self._executing[run_id] = task
        task.add_done_callback(lambda _: self._executed(run_id))

    def _executed(self, run_id: str) -> None:
        del self._executing[run_id]
        self._changed.set()
