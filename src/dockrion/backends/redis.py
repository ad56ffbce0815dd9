"""One Redis, for all that an app keeps in it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from hashlib import sha1
from threading import Lock
from typing import Any, Final

import redis
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import FORBIDDEN, REFUSED, as_backend_error, refusal
from dockrion.backends.redis_lanes import Argument, Command, Lanes
from dockrion.backends.redis_listener import Listener
from dockrion.backends.redis_url import FIELD, RedisUrl
from dockrion.errors import ValidationError

logger = logging.getLogger(__name__)

# What takes longer counts as an outage.
SECONDS: Final = 5.0
POOL_SIZE: Final = 10
_OLDEST: Final = (6, 2)
_KEEPS: Final = "noeviction"


class Script:
    """A Lua script, sent as its hash wherever Redis has seen it before."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.hash = sha1(text.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        return ("EVALSHA", self.hash, len(keys), *keys, *arguments)

    def first_call(
        self, keys: Sequence[str], arguments: Sequence[Argument]
    ) -> tuple[Argument, ...]:
        return ("EVAL", self.text, len(keys), *keys, *arguments)


class RedisConnections:
    """Up to `pool_size` connections for calls, one for messages; and one for threads, when one asks.

    All methods raise `BackendError` within some seconds when Redis does not answer or cannot do what it is asked.
    """

    def __init__(self, url: str, *, pool_size: int = POOL_SIZE, seconds: float = SECONDS) -> None:
        self.url = RedisUrl(url)
        self._pool_size = pool_size
        self._seconds = seconds
        self._users = 0
        self._forget()

    def _forget(self) -> None:
        self._lanes = Lanes(self.url, most=self._pool_size, seconds=self._seconds)
        self._listener = Listener(self.url, seconds=self._seconds)
        self._blocking: redis.Redis | None = None
        self._blocking_lock = Lock()

    async def open(self) -> None:
        """Connect; raise `BackendError`, or `ValidationError` for what has to be changed, with one clear line.

        It may be opened by several, and is closed by the last one.
        """
        self._users += 1
        if self._users > 1:
            return
        try:
            await self._begin()
        except BaseException:
            await self.close()
            raise

    async def _begin(self) -> None:
        try:
            await self._lanes.call("PING")
            await self._check_server()
            await self._listener.open()
        except (BackendError, RedisError, OSError) as exc:
            raise self._start_error(exc) from None

    def _start_error(self, exc: Exception) -> Exception:
        why = refusal(exc)
        if why is not None:
            return ValidationError(f"{FIELD}: Redis refuses: {why}")
        error = as_backend_error(exc)
        if error.message.startswith(FORBIDDEN):
            return ValidationError(f"{FIELD}: {error.message.rstrip('.')}")
        if isinstance(exc, AuthenticationError) or error.message == REFUSED:
            return ValidationError(
                f"{FIELD}: Redis at {self.url.place} refuses the user or the password"
            )
        return BackendError(f"{FIELD}: {error.message} It should be at {self.url.place}.")

    async def close(self) -> None:
        self._users = max(0, self._users - 1)
        if self._users:
            return
        await self._listener.close()
        await self._lanes.close()
        if self._blocking is not None:
            self._blocking.close()
        self._forget()

    async def probe(
        self, script: Script, keys: Sequence[str], arguments: Sequence[Argument], *, channel: str
    ) -> None:
        """Raise as `open` does where the user may not do what a script does, or may not hear of a channel."""

        def nothing(_: bytes | None) -> None:
            pass

        try:
            try:
                await self._lanes.call(*script.call(keys, arguments))
            except NoScriptError:
                await self._lanes.call(*script.first_call(keys, arguments))
            await self.subscribe(channel, nothing)
        except (BackendError, RedisError) as exc:
            raise self._start_error(exc) from None
        self.unsubscribe(channel, nothing)

    async def check(self) -> None:
        await self.call("PING")

    async def call(self, *command: Argument) -> Any:
        try:
            return await self._lanes.call(*command)
        except RedisError as exc:
            raise self._error(exc) from exc

    async def ask(self, *command: Argument) -> Any:
        """`call` for whoever reads answers as a client of Redis does: what it refuses is a `ResponseError`."""
        return await self._lanes.call(*command)

    async def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """`ask` for commands that go in their order, in one round trip; raises after all have been answered."""
        replies = await self._lanes.call_all(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        try:
            try:
                return await self._lanes.call(*script.call(keys, arguments))
            except NoScriptError:
                return await self._lanes.call(*script.first_call(keys, arguments))
        except RedisError as exc:
            raise self._error(exc) from exc

    def run_from_thread(
        self,
        script: Script,
        calls: Sequence[tuple[Sequence[str], Sequence[Argument]]],
        *,
        seconds: float,
    ) -> list[Any]:
        """Run a script many times, in one round trip, from any thread but the event loop's."""
        with self._blocking_lock:
            if self._blocking is None:
                # Connecting, writing and reading may each take a part of it.
                self._blocking = self.url.blocking(seconds / 3)
            try:
                try:
                    return _pipelined(self._blocking, script, calls)
                except redis.ConnectionError:
                    # Redis may have been restarted since the last time.
                    return _pipelined(self._blocking, script, calls)
            except (RedisError, OSError) as exc:
                raise self._error(exc) from exc

    async def subscribe(self, channel: str, callback: Callable[[bytes | None], None]) -> None:
        """Call back with each message on a channel from now on; with None when some may have been missed."""
        await self._listener.subscribe(channel, callback)

    def unsubscribe(self, channel: str, callback: Callable[[bytes | None], None]) -> None:
        self._listener.unsubscribe(channel, callback)

    async def _check_server(self) -> None:
        try:
            server = _fields(await self._lanes.call("INFO"))
        except ResponseError as exc:
            if refusal(exc) is None:
                raise
            logger.warning(
                "redis does not say what it is, so its version and its maxmemory-policy are not checked",
                extra={"needed": "a user that may run INFO; maxmemory-policy noeviction"},
            )
            return
        version = server.get("redis_version", "")
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        if numbers < _OLDEST:
            raise ValidationError(f"{FIELD}: Redis {version} is too old; it must be 6.2 or later")
        if server.get("redis_mode", "standalone") != "standalone":
            raise ValidationError(
                f"{FIELD}: this Redis runs as {server['redis_mode']}, which is not supported; it must be a single server"
            )
        if server.get("role") == "slave":
            raise ValidationError(f"{FIELD}: this Redis is a replica; the primary is needed")
        policy = server.get("maxmemory_policy", _KEEPS)
        if policy != _KEEPS:
            raise ValidationError(
                f"{FIELD}: this Redis drops keys when its memory is full (maxmemory-policy {policy}), and runs with them;"
                f" set maxmemory-policy to {_KEEPS}"
            )

    @staticmethod
    def _error(exc: Exception) -> BackendError:
        if isinstance(exc, ResponseError):
            # The answer's own words are for operators alone.
            logger.warning("redis refused a command", extra={"reason": str(exc)[:300]})
        return as_backend_error(exc)


def _pipelined(
    client: Any,
    script: Script,
    calls: Sequence[tuple[Sequence[str], Sequence[Argument]]],
) -> list[Any]:
    for make in (script.call, script.first_call):
        with client.pipeline(transaction=False) as pipeline:
            for keys, arguments in calls:
                pipeline.execute_command(*make(keys, arguments))
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if not errors:
            return replies
        if not isinstance(errors[0], NoScriptError):
            raise errors[0]
    raise BackendError("Redis forgets its scripts.")


def _fields(info: bytes) -> dict[str, str]:
    lines = info.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs}
