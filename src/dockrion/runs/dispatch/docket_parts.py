"""A docket that shares the app's connection to Redis and does no more than dispatch needs."""

# redis-py's own types say `Unknown` in places.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, Final, Self

from docket import Docket
from docket.strikelist import StrikeList
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError  # noqa: A004

from dockrion.backends.base import BackendError
from dockrion.backends.redis import RedisConnections

# How long a worker waits for word of a message before it looks by itself.
LOOK_SECONDS: Final = 1.0
# What a message of ours has as arguments: all that matters is in its key.
_NO_ARGS: Final = pickle.dumps(())
_NO_KWARGS: Final = pickle.dumps({})


class SharedDocket(Docket):
    """Goes through the connections of `backend`, and waits for messages without one of its own.

    Strikes and cancels are not listened for: both are done through the store here.
    """

    def __init__(self, backend: RedisConnections, prefix: str) -> None:
        # A finished task leaves nothing; its worker's sign of life is not looked at by anybody.
        super().__init__(prefix, execution_ttl=timedelta(0), heartbeat_interval=timedelta(hours=1))
        self._prefix = prefix
        self._client = _SharedClient(backend)
        self.tasks.clear()

    @property
    def prefix(self) -> str:
        return self._prefix

    def look(self) -> None:
        """There may be a message."""
        self._client.may_have.set()

    async def __aenter__(self) -> Self:
        self.strike_list = StrikeList()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[Any]:
        yield self._client

    @asynccontextmanager
    async def _pubsub(self) -> AsyncGenerator[Any]:
        yield _NoMessages()


class _SharedClient(Redis):
    """A client without connections."""

    def __init__(self, backend: RedisConnections) -> None:
        # As the answers of `backend` are.
        super().__init__(protocol=2)
        self._backend = backend
        self.may_have = asyncio.Event()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        [reply] = await self.execute_commands([(args, options)])
        return reply

    async def execute_commands(self, commands: Sequence[tuple[Any, Any]]) -> list[Any]:
        """Go together, in their order."""
        try:
            replies = await self._backend.ask_all([args for args, _ in commands])
        except BackendError as exc:
            # What a client raises, and a worker waits out.
            raise ConnectionError(exc.message) from exc
        callbacks = (self.response_callbacks.get(args[0]) for args, _ in commands)
        return [
            reply if callback is None else callback(reply, **options)
            for reply, callback, (_, options) in zip(replies, callbacks, commands, strict=True)
        ]

    def pipeline(self, *_: Any, **__: Any) -> Pipeline:
        return _SharedPipeline(self)

    async def xreadgroup(self, *args: Any, block: int, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: ARG002
        # The connection is everybody's: who waits on it would hold up all others.
        self.may_have.clear()
        found = await super().xreadgroup(*args, **options)
        if not found:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self.may_have.wait()
        return [(stream, _emptied(messages)) for stream, messages in found]

    async def xautoclaim(self, *args: Any, **options: Any) -> Any:
        cursor, messages, *more = await super().xautoclaim(*args, **options)
        return [cursor, _emptied(messages), *more]


class _SharedPipeline(Pipeline):
    def __init__(self, client: _SharedClient) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, False, None)
        self._client = client

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: ARG002
        commands, self.command_stack = self.command_stack, []
        return await self._client.execute_commands(commands)


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
