"""Calls to Redis that share one connection, and round trips."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from redis.exceptions import RedisError, ResponseError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import GONE, SILENT, as_backend_error, lost
from dockrion.backends.redis_url import RedisUrl

logger = logging.getLogger(__name__)

Argument: TypeAlias = str | bytes | int | float
# Replies of so many calls are in memory at once.
_CALLS: Final = 64
# Between attempts when the connection is lost: a Redis that was restarted is there at once.
_PAUSES: Final = (0.0, 0.05, 0.25)


class _Call(NamedTuple):
    command: tuple[Argument, ...]
    reply: asyncio.Future[Any]


class Lane:
    """Calls that come in while others are under way go together, in one round trip, in their order.

    A call may be made again when the connection was lost before its reply came: all must be such that this does no
    harm. What Redis answers with an error is raised as `ResponseError`, all else as `BackendError`, after `seconds`
    at most.
    """

    def __init__(self, url: RedisUrl, *, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._calls: deque[_Call] = deque()
        self._connection: Any = None
        self._called = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def call(self, *command: Argument) -> Any:
        if self._worker is None:
            self._worker = asyncio.create_task(self._work(), name="redis lane")
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(command, reply))
        self._called.set()
        return await reply

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
            self._worker = None
        self._refuse(self._calls, BackendError(GONE))
        await self._disconnect(nowait=False)

    async def _work(self) -> None:
        while True:
            await self._called.wait()
            self._called.clear()
            while self._calls:
                await self._serve(
                    [self._calls.popleft() for _ in range(min(_CALLS, len(self._calls)))]
                )

    async def _serve(self, calls: list[_Call]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                replies = await self._talk(calls)
        except asyncio.CancelledError:
            self._refuse(calls, BackendError(GONE))
            raise
        except (RedisError, OSError) as exc:
            error = BackendError(SILENT) if type(exc) is TimeoutError else as_backend_error(exc)
            await self._disconnect()
            # Whoever waits would wait for the same.
            self._refuse([*calls, *self._calls], error)
            self._calls.clear()
            return
        except Exception:
            logger.exception("talking to redis failed")
            await self._disconnect()
            self._refuse(calls, BackendError("Talking to Redis failed; the log says why."))
            return
        for call, reply in zip(calls, replies, strict=True):
            if call.reply.done():
                continue
            if isinstance(reply, Exception):
                call.reply.set_exception(reply)
            else:
                call.reply.set_result(reply)

    async def _talk(self, calls: list[_Call]) -> list[Any]:
        for pause in _PAUSES:
            try:
                return await self._exchange(calls)
            except (RedisError, OSError) as exc:
                await self._disconnect()
                if not lost(exc) or isinstance(exc, TimeoutError):
                    raise
            await asyncio.sleep(pause)
        return await self._exchange(calls)

    async def _exchange(self, calls: list[_Call]) -> list[Any]:
        if self._connection is None:
            self._connection = self._url.connect()
        connection = self._connection
        packed = connection.pack_commands([call.command for call in calls])
        await connection.connect()
        await connection.send_packed_command(packed, check_health=False)
        return [await _reply(connection) for _ in calls]

    async def _disconnect(self, *, nowait: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=nowait)

    @staticmethod
    def _refuse(calls: list[_Call] | deque[_Call], error: BackendError) -> None:
        for call in calls:
            if not call.reply.done():
                call.reply.set_exception(error)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=inf)
    except ResponseError as exc:
        return exc
