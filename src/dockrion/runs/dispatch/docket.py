"""Dispatch over any number of machines: pydocket, on the Redis that has the runs.

A message is acknowledged when its run has begun here, not when it has ended: from then on the claim in the store
says whose the run is, and the reaper submits it again if that is lost. So no run is too long for a message, and a
worker that freezes and wakes up finds its claim gone. Messages of a worker that dies before it has begun their
runs go to others after `REDELIVERY_SECONDS`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from docket import TaskKey, Worker
from docket.execution import Disposition, Execution
from opentelemetry import context as otel
from opentelemetry import trace
from redis.exceptions import RedisError

from dockrion.backends.redis import RedisConnections, Script
from dockrion.backends.redis_errors import as_backend_error
from dockrion.runs.dispatch.base import Execute
from dockrion.runs.dispatch.docket_parts import SharedDocket
from dockrion.runs.store.base import RunRecord, StoreError

logger = logging.getLogger(__name__)

REDELIVERY_SECONDS: Final = 5.0
# While all its places are taken, a worker looks so often for a free one.
FULL_SECONDS: Final = 0.01
# Between attempts while Redis is away.
RETRY_SECONDS: Final = 0.5
# A worker that ends is given so long to take leave of Redis.
CLOSE_SECONDS: Final = 2.0
# A message that a worker began to look at and that no other was given since is no more.
LOST_SECONDS: Final = 60.0
_STALE_MS: Final = 86_400_000

# Consumers of a group stay there, and with them their messages: only who has none may go.
_FORGET = Script(
    """
    local found = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
    if found.err then return 0 end
    for _, pairs in ipairs(found) do
        local consumer = {}
        for at = 1, #pairs, 2 do consumer[pairs[at]] = pairs[at + 1] end
        local gone = consumer.name == ARGV[2] or consumer.idle > tonumber(ARGV[3])
        if gone and consumer.pending == 0 then
            redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
        end
    end
    return 1
    """,
)


class DocketDispatcher:
    """`Dispatcher` for stores on Redis; `prefix` is that of the store's keys."""

    def __init__(self, backend: RedisConnections, *, prefix: str) -> None:
        _quiet_logger()
        self._backend = backend
        self._docket = SharedDocket(backend, f"{prefix}docket")
        self._docket.register(self.execute)
        self._channel = self._docket.key("submitted")
        self._is_open = False
        self._worker = Worker(
            self._docket,
            # Not that of a machine: two processes with one name would share their messages.
            name=uuid4().hex,
            redelivery_timeout=timedelta(seconds=REDELIVERY_SECONDS),
            minimum_check_interval=timedelta(seconds=FULL_SECONDS),
            # Nothing is put off.
            scheduling_resolution=timedelta(hours=1),
            schedule_automatic_tasks=False,
        )
        self._concurrency = 0
        self._execute: Execute | None = None
        self._executing: set[asyncio.Task[None]] = set()
        self._working: asyncio.Task[None] | None = None
        self._resting = asyncio.Event()
        # What runs begin with: nothing of docket's.
        self._context = contextvars.Context()

    async def open(self) -> None:
        await self._backend.open()
        await self._docket.__aenter__()
        self._is_open = True

    async def submit(self, record: RunRecord) -> None:
        # A run that is handed back or resumed goes on after more events, or with another attempt.
        key = f"{record.run_id}:{record.end}:{record.attempt}"
        try:
            with _untraced():
                added = await self._told(self._docket.add(self.execute, key=key)())
                if added.disposition is Disposition.ALREADY_SCHEDULED and await self._is_lost(key):
                    await self._replace(key)
        except RedisError as exc:
            raise as_backend_error(exc) from exc

    def work(self, execute: Execute, concurrency: int) -> None:
        self._execute = execute
        self._concurrency = concurrency
        self._worker.concurrency = concurrency
        self._context = contextvars.copy_context()
        with _untraced():
            self._working = asyncio.get_running_loop().create_task(self._work(), name="docket")

    def rest(self) -> None:
        self._worker.concurrency = 0
        self._resting.set()
        self._docket.look()

    async def close(self) -> None:
        self.rest()
        for task in self._executing:
            task.cancel()
        if self._executing:
            await asyncio.wait(self._executing)
        if self._working is not None:
            await self._leave(self._working)
        if self._is_open:
            self._is_open = False
            await self._docket.__aexit__(None, None, None)
            await self._backend.close()

    async def execute(self, key: str = TaskKey()) -> None:
        """What a docket's worker calls for a message."""
        execute = self._execute
        if execute is None or self._resting.is_set():
            # It was read in the last moment: to others, at once.
            await self._replace(key)
            return
        run_id = key.rsplit(":", 2)[0]
        task = asyncio.get_running_loop().create_task(execute(run_id), context=self._context.copy())
        self._executing.add(task)
        task.add_done_callback(self._executed)
        self._count_places()

    def _executed(self, task: asyncio.Task[None]) -> None:
        self._executing.discard(task)
        self._count_places()

    def _count_places(self) -> None:
        if not self._resting.is_set():
            self._worker.concurrency = self._concurrency - len(self._executing)

    async def _work(self) -> None:
        await self._forget_consumers("")
        await self._listen()
        resting = asyncio.create_task(self._resting.wait())
        async with self._worker:
            while not resting.done():
                working = asyncio.create_task(self._worker.run_forever())
                try:
                    await asyncio.wait([resting, working], return_when=asyncio.FIRST_COMPLETED)
                except asyncio.CancelledError:
                    working.cancel()
                    raise
                if resting.done():
                    break
                # It returns when Redis is away. All else is a bug, which must not end the work.
                if (bug := working.exception()) is not None:
                    logger.error("the worker of docket broke", exc_info=bug)
                await asyncio.wait([resting], timeout=RETRY_SECONDS)
        self._backend.unsubscribe(self._channel, self._look)
        await self._forget_consumers(self._worker.name)

    async def _leave(self, working: asyncio.Task[None]) -> None:
        for _ in range(2):
            # Redis may not answer: a cancel ends first what it waits for, then how it takes leave.
            await asyncio.wait([working], timeout=CLOSE_SECONDS / 2)
            if working.done():
                return
            working.cancel()

    async def _listen(self) -> None:
        try:
            await self._backend.subscribe(self._channel, self._look)
        except StoreError as exc:
            logger.warning("runs may begin a second late: %s", exc)

    def _look(self, _said: bytes | None) -> None:
        self._docket.look()

    async def _told(self, submitted: Awaitable[Execution]) -> Execution:
        """Submit, and send word of it to all who work."""
        execution = await submitted
        await self._backend.ask("PUBLISH", self._channel, "")
        return execution

    async def _forget_consumers(self, name: str) -> None:
        """Remove consumers of workers that are no more, and the one with that name."""
        group = self._docket.worker_group_name
        try:
            await self._backend.run(_FORGET, [self._docket.stream_key], [group, name, _STALE_MS])
        except StoreError as exc:
            logger.debug("consumers are not forgotten: %s", exc)

    async def _replace(self, key: str) -> None:
        await self._told(self._docket.replace(self.execute, datetime.now(UTC), key)())

    async def _is_lost(self, key: str) -> bool:
        """Whether a docket knows a key whose message is no more, which nobody would ever be given."""
        async with self._docket.redis() as redis:
            found = await redis.hmget(self._docket.runs_key(key), "stream_id", "started_at")
            message_id, started_at = found
            if message_id is not None:
                return not await redis.xrange(self._docket.stream_key, message_id, message_id)
        if started_at is None:
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(started_at.decode())
        return age > timedelta(seconds=LOST_SECONDS)


def _quiet_logger() -> None:
    """It tells each task, and each attempt to reach Redis with a traceback; the backend says what matters."""
    docket = logging.getLogger("docket")
    if docket.level == logging.NOTSET:
        docket.setLevel(logging.CRITICAL)


@contextmanager
def _untraced() -> Generator[None]:
    """Keep spans of docket's own out of the agent's traces: what has an unsampled parent is not sampled."""
    parent = trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(0))
    token = otel.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
    try:
        yield
    finally:
        otel.detach(token)
