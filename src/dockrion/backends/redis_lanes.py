"""Calls to Redis that share connections, and round trips."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from redis.exceptions import RedisError, ResponseError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import GONE, SILENT, as_backend_error, lost
from dockrion.backends.redis_url import RedisUrl

logger = logging.getLogger(__name__)

Argument: TypeAlias = str | bytes | int | float
Command: TypeAlias = tuple[Argument, ...]
# Of one round trip, so that whoever comes next waits for no more than that.
_CALLS: Final = 32
_BYTES: Final = 1 << 20
# Another connection is opened for calls that have waited for so long, and closed when it has had none for so long.
_BUSY_SECONDS: Final = 0.05
_IDLE_SECONDS: Final = 1.0
# Between attempts when the connection is lost: a Redis that was restarted is there at once.
_PAUSES: Final = (0.0, 0.05, 0.25)


class _Call(NamedTuple):
    commands: Sequence[Command]
    weight: int
    since: float
    replies: asyncio.Future[list[Any]]


class Lanes:
    """Up to `most` connections for calls; mostly one, since calls that wait for it go together, in one round trip.

    More are there while calls wait longer, such as behind one that is very large; then calls may overtake each other.
    A call may be made again when the connection was lost before its reply came: all must be such that this does no
    harm. What Redis answers with an error is raised as `ResponseError`, all else as `BackendError`, `seconds` after
    the call has been sent at the latest.
    """

    def __init__(self, url: RedisUrl, *, most: int, seconds: float) -> None:
        self._url = url
        self._most = most
        self._seconds = seconds
        self._calls: deque[_Call] = deque()
        self._lanes: list[_Lane] = []
        self._look_at: asyncio.TimerHandle | None = None
        # When Redis has answered last, on any connection.
        self._heard = 0.0

    async def call(self, *command: Argument) -> Any:
        [reply] = await self.call_all([command])
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def call_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in their order, and return all replies; errors of Redis are returned as well."""
        loop = asyncio.get_running_loop()
        call = _Call(commands, _weight(commands), loop.time(), loop.create_future())
        self._calls.append(call)
        free = next((lane for lane in self._lanes if lane.is_free), None)
        if free is not None:
            free.wake()
        elif not self._lanes:
            self._open_lane()
        elif self._look_at is None and len(self._lanes) < self._most:
            self._look_at = loop.call_later(_BUSY_SECONDS, self._look)
        return await call.replies

    async def close(self) -> None:
        if self._look_at is not None:
            self._look_at.cancel()
            self._look_at = None
        tasks = [lane.task for lane in self._lanes]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        _refuse(self._calls, BackendError(GONE))
        self._calls.clear()

    def _look(self) -> None:
        self._look_at = None
        if not self._calls or len(self._lanes) >= self._most:
            return
        loop = asyncio.get_running_loop()
        waits = self._calls[0].since + _BUSY_SECONDS - loop.time()
        if waits <= 0:
            self._open_lane()
        self._look_at = loop.call_later(waits if waits > 0 else _BUSY_SECONDS, self._look)

    def _open_lane(self) -> None:
        lane = _Lane(self._url)
        lane.task = asyncio.create_task(self._work(lane), name="redis lane")
        self._lanes.append(lane)

    async def _work(self, lane: _Lane) -> None:
        try:
            while True:
                while self._calls:
                    await self._serve(lane, self._take())
                # The first one stays.
                seconds = None if lane is self._lanes[0] else _IDLE_SECONDS
                if not await lane.is_woken(seconds) and not self._calls:
                    return
        finally:
            self._lanes.remove(lane)
            await lane.disconnect(nowait=False)

    def _take(self) -> list[_Call]:
        calls = [self._calls.popleft()]
        weight = calls[0].weight
        while self._calls and len(calls) < _CALLS:
            weight += self._calls[0].weight
            if weight > _BYTES:
                break
            calls.append(self._calls.popleft())
        return calls

    async def _serve(self, lane: _Lane, calls: list[_Call]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        commands = [command for call in calls for command in call.commands]
        try:
            async with asyncio.timeout(self._seconds):
                replies = iter(await lane.talk(commands))
        except asyncio.CancelledError:
            _refuse(calls, BackendError(GONE))
            raise
        except (RedisError, OSError) as exc:
            error = BackendError(SILENT) if type(exc) is TimeoutError else as_backend_error(exc)
            await lane.disconnect()
            _refuse(calls, error)
            if self._heard <= began:
                # Whoever waits would wait for the same.
                _refuse(self._calls, error)
                self._calls.clear()
            return
        except Exception:
            logger.exception("talking to redis failed")
            await lane.disconnect()
            _refuse(calls, BackendError("Talking to Redis failed; the log says why."))
            return
        self._heard = loop.time()
        for call in calls:
            found = [next(replies) for _ in call.commands]
            if not call.replies.done():
                call.replies.set_result(found)


class _Lane:
    """One connection, which is made when it is used."""

    task: asyncio.Task[None]

    def __init__(self, url: RedisUrl) -> None:
        self.is_free = False
        self._url = url
        self._connection: Any = None
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self.is_free = False
        self._woken.set()

    async def is_woken(self, seconds: float | None) -> bool:
        """Be free until there is a call, or for so long."""
        self._woken.clear()
        self.is_free = True
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        finally:
            self.is_free = False
        return True

    async def talk(self, commands: list[Command]) -> list[Any]:
        for pause in _PAUSES:
            try:
                return await self._exchange(commands)
            except (RedisError, OSError) as exc:
                await self.disconnect()
                if not lost(exc) or isinstance(exc, TimeoutError):
                    raise
            await asyncio.sleep(pause)
        return await self._exchange(commands)

    async def _exchange(self, commands: list[Command]) -> list[Any]:
        if self._connection is None:
            self._connection = self._url.connect()
        connection = self._connection
        packed = connection.pack_commands(commands)
        await connection.connect()
        await connection.send_packed_command(packed, check_health=False)
        return [await _reply(connection) for _ in commands]

    async def disconnect(self, *, nowait: bool = True) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=nowait)


def _weight(commands: Iterable[Command]) -> int:
    return sum(
        len(part) for command in commands for part in command if isinstance(part, str | bytes)
    )


def _refuse(calls: Iterable[_Call], error: BackendError) -> None:
    for call in calls:
        if not call.replies.done():
            call.replies.set_exception(error)


async def _reply(connection: Any) -> Any:
    try:
        return await connection.read_response(timeout=inf)
    except ResponseError as exc:
        return exc
