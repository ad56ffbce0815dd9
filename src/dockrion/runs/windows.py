"""Windows: how long a direct run goes on while nobody follows it."""

from __future__ import annotations

import asyncio
import logging
from time import time
from typing import TYPE_CHECKING, Final

from dockrion.runs.channel import Channels
from dockrion.runs.deadlines import Deadlines
from dockrion.runs.store.base import RunRecord, RunStore, StoreError

if TYPE_CHECKING:
    from dockrion.runs.executor import Executor

logger = logging.getLogger(__name__)

# For so long one word of a follower in another process counts, and how often it is said.
READING_SECONDS: Final = 10.0
SAYING_SECONDS: Final = 3.0


class Windows:
    """`seconds` None: direct runs go on to their end, and nobody looks after them here.

    A run whose followers are in another process knows of them through the store (`RunStore.reading`).
    """

    def __init__(self, store: RunStore, channels: Channels, seconds: float | None) -> None:
        self._store = store
        self._channels = channels
        self._executor: Executor | None = None
        self._open: Deadlines[str] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        # Direct runs of other processes that are followed here.
        self._elsewhere: set[str] = set()
        self._saying: asyncio.Task[None] | None = None
        if seconds is not None:
            self._open = Deadlines(seconds, self._over)
            channels.on_followers = self._followers

    def begin(self, executor: Executor) -> None:
        self._executor = executor

    def close(self) -> None:
        if self._open is not None:
            self._open.clear()
        for task in (*self._asking, *([self._saying] if self._saying else [])):
            task.cancel()

    async def read_here(self, record: RunRecord) -> None:
        """Somebody is about to follow a direct run: where another process has it, tell that one."""
        if self._open is None or self._executor is None or record.is_final or not record.direct:
            return
        if record.run_id in self._executor:
            return
        await self._store.reading(record.run_id, READING_SECONDS)
        self._elsewhere.add(record.run_id)
        if self._saying is None:
            self._saying = asyncio.get_running_loop().create_task(self._say())

    async def _say(self) -> None:
        while self._elsewhere:
            await asyncio.sleep(SAYING_SECONDS)
            self._elsewhere &= set(self._channels.followed)
            for run_id in tuple(self._elsewhere):
                try:
                    await self._store.reading(run_id, READING_SECONDS)
                except StoreError as exc:
                    logger.warning("a run's reader cannot be told of: %s", exc)
        self._saying = None

    def _followers(self, run_id: str, some: bool) -> None:
        if self._open is None:
            return
        if some:
            self._open.discard(run_id)
        else:
            self._wait(run_id)

    def _wait(self, run_id: str) -> None:
        pump = None if self._executor is None else self._executor.pump_of(run_id)
        if self._open is not None and pump is not None and pump.paced and not pump.outlives:
            self._open.add(run_id)

    def _over(self, run_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._end_unread(run_id))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _end_unread(self, run_id: str) -> None:
        pump = None if self._executor is None else self._executor.pump_of(run_id)
        if pump is None or self._channels.has_followers(run_id):
            return
        try:
            record = await self._store.get(run_id)
        except StoreError:
            record = None
        is_read = record is not None and record.read_until > time()
        if is_read or pump.run.is_waiting:
            self._wait(run_id)
        elif not self._channels.has_followers(run_id):
            pump.run.caller_left()
