"""Dispatch over many machines: pydocket, on the Redis that keeps the runs.

Docket pickles what it is given, which is a run id and no more: but whoever can write to this Redis can make its workers
run code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from docket import Docket, Worker
from redis.exceptions import RedisError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import SILENT, as_backend_error
from dockrion.runs.dispatch.base import Execute
from dockrion.runs.store.base import RunRecord

logger = logging.getLogger(__name__)

_TASK: Final = "execute"
# A freed place is noticed after this long at most; whoever waits for work hears of it at once.
_LOOK: Final = timedelta(milliseconds=100)
_RECONNECT: Final = timedelta(seconds=1)
_SUBMIT_SECONDS: Final = 5.0
_REDELIVERY: Final = timedelta(seconds=15)


class DocketDispatcher:
    """`Dispatcher`. A run that is submitted again replaces what is still waiting of it: nothing piles up."""

    def __init__(self, url: str, *, prefix: str) -> None:
        # Nothing is kept of what has been executed: the store has it all.
        self._docket = Docket(name=f"{prefix}docket", url=url, execution_ttl=timedelta(0))
        self._is_open = False
        self._working: asyncio.Task[None] | None = None
        self._resting = asyncio.Event()

    async def open(self) -> None:
        # Docket tells each task and each outage; here the runs, the leases and `/ready` tell.
        logging.getLogger("docket").setLevel(logging.CRITICAL)
        self._docket.register(_placeholder, names=[_TASK])
        await _answered(self._docket.__aenter__())
        self._is_open = True

    async def submit(self, record: RunRecord) -> None:
        await _answered(self._put(record.run_id))

    async def _put(self, run_id: str) -> None:
        await self._docket.replace(_TASK, when=datetime.now(UTC), key=run_id)(run_id)

    def work(self, execute: Execute, concurrency: int) -> None:
        # The agent's code has the context of the app, and nothing of docket's in it.
        self._docket.register(self._task(execute, copy_context()), names=[_TASK])
        self._working = asyncio.get_running_loop().create_task(self._work(concurrency))

    def _task(self, execute: Execute, context: Context) -> Callable[[str], Any]:
        async def execute_run(run_id: str) -> None:
            if self._resting.is_set():
                # Taken while this process was stopping to take any: somebody else gets it.
                await self._put(run_id)
                return
            run = asyncio.get_running_loop().create_task(execute(run_id), context=context.copy())
            try:
                await asyncio.shield(run)
            except asyncio.CancelledError:
                run.cancel()
                await asyncio.wait([run])
                raise

        return execute_run

    async def _work(self, concurrency: int) -> None:
        while not self._resting.is_set():
            try:
                await self._work_until_rest(concurrency)
            except Exception:
                # Docket itself goes on after outages; runs that are not taken meanwhile are found by the reaper.
                logger.exception("taking runs failed")
                await asyncio.sleep(_RECONNECT.total_seconds())

    async def _work_until_rest(self, concurrency: int) -> None:
        worker = Worker(
            self._docket,
            concurrency=concurrency,
            message_batch=concurrency,
            redelivery_timeout=_REDELIVERY,
            reconnection_delay=_RECONNECT,
            minimum_check_interval=_LOOK,
            schedule_automatic_tasks=False,
        )
        # Leaving it lets what is executed come to its end.
        async with worker:
            taking = asyncio.get_running_loop().create_task(worker.run_forever())
            resting = asyncio.get_running_loop().create_task(self._resting.wait())
            try:
                await asyncio.wait([taking, resting], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                taking.cancel()
                raise
            finally:
                resting.cancel()
        await taking

    def rest(self) -> None:
        self._resting.set()

    async def close(self) -> None:
        self.rest()
        if self._working is not None:
            await asyncio.wait([self._working])
            self._working = None
        if self._is_open:
            self._is_open = False
            await self._docket.__aexit__(None, None, None)


async def _placeholder(run_id: str) -> None:
    """What a process that only submits knows as the task."""
    raise AssertionError(f"nobody works here, and {run_id} came")


async def _answered(call: Any) -> Any:
    try:
        async with asyncio.timeout(_SUBMIT_SECONDS):
            return await call
    except TimeoutError:
        raise BackendError(SILENT) from None
    except (RedisError, OSError) as exc:
        raise as_backend_error(exc) from exc
