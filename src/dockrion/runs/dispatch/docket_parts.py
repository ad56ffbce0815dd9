"""A docket that shares the app's connection to Redis and does no more than dispatch needs."""

# redis-py's own types say `Unknown` in places.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Self

from docket import Docket
from docket.strikelist import StrikeList
from redis.asyncio import Redis
from redis.exceptions import ConnectionError  # noqa: A004

from dockrion.backends.base import BackendError
from dockrion.backends.redis import RedisBackend

# What a message of ours has as arguments: all that matters is in its key.
_NO_ARGS: Final = pickle.dumps(())
_NO_KWARGS: Final = pickle.dumps({})


class SharedDocket(Docket):
    """All but the waiting for messages goes through the connection of `backend`.

    Strikes and cancels are not listened for, which would take two more; both are done through the store here.
    """

    def __init__(self, backend: RedisBackend, prefix: str) -> None:
        # A finished task leaves nothing; its worker's sign of life is not looked at by anybody.
        super().__init__(prefix, execution_ttl=timedelta(0), heartbeat_interval=timedelta(hours=1))
        self._prefix = prefix
        self._client = _SharedClient(backend)
        self.tasks.clear()

    @property
    def prefix(self) -> str:
        return self._prefix

    async def __aenter__(self) -> Self:
        self.strike_list = StrikeList()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.connection_pool.disconnect()

    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[Any]:
        yield self._client

    @asynccontextmanager
    async def _pubsub(self) -> AsyncGenerator[Any]:
        yield _NoMessages()


class _SharedClient(Redis):
    def __init__(self, backend: RedisBackend) -> None:
        super().__init__(connection_pool=backend.blocking_pool())
        self._backend = backend

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "XREADGROUP":
            return await super().execute_command(*args, **options)
        try:
            reply = await self._backend.ask(*args)
        except BackendError as exc:
            # What a client raises, and a worker waits out.
            raise ConnectionError(exc.message) from exc
        callback = self.response_callbacks.get(args[0])
        return reply if callback is None else callback(reply, **options)

    async def xreadgroup(self, *args: Any, **options: Any) -> Any:
        found = await super().xreadgroup(*args, **options)
        return [(stream, _emptied(messages)) for stream, messages in found]

    async def xautoclaim(self, *args: Any, **options: Any) -> Any:
        cursor, messages, *more = await super().xautoclaim(*args, **options)
        return [cursor, _emptied(messages), *more]


def _emptied(messages: Any) -> list[tuple[Any, Any]]:
    """Return messages without the arguments that came: a docket unpickles them, which would run what is in there."""
    return [
        (message_id, message and {**message, b"args": _NO_ARGS, b"kwargs": _NO_KWARGS})
        for message_id, message in messages
    ]


class _NoMessages:
    """A subscription to a channel that is silent."""

    def __init__(self) -> None:
        self._is_new = True

    async def psubscribe(self, *patterns: str) -> None:
        pass

    async def get_message(self, *, timeout: float, **_: Any) -> dict[str, Any] | None:
        if self._is_new:
            self._is_new = False
            return {"type": "psubscribe"}
        await asyncio.sleep(timeout)
        return None
