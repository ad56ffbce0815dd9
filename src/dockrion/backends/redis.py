"""One Redis for all that the processes of an app share: calls, scripts, and signs that something has changed."""

from __future__ import annotations

import logging
from hashlib import sha1
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from redis.exceptions import NoPermissionError, NoScriptError, RedisError, ResponseError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import as_backend_error
from dockrion.backends.redis_lane import Argument, Lane
from dockrion.backends.redis_listener import Callback, Listener
from dockrion.backends.redis_url import FIELD, RedisUrl
from dockrion.errors import ValidationError

if TYPE_CHECKING:
    import redis

logger = logging.getLogger(__name__)

OLDEST: Final = (6, 2)
CALL_SECONDS: Final = 5.0
_KEEPS_ALL: Final = "noeviction"


class Script:
    """Lua that Redis runs as one step. `name` is for messages."""

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        # Redis names scripts so; it is no secret.
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisBackend:
    """One for each app, on its event loop.

    Three connections at most: one for calls, which share it and its round trips; one that listens; and, from the
    first heartbeat on, one for a thread. All come back by themselves. Everything raises `BackendError`, in
    `CALL_SECONDS` at most; calls may be made twice, when the connection was lost before an answer came.
    """

    def __init__(self, url: str) -> None:
        self._url = RedisUrl(url)
        self._lane = Lane(self._url, seconds=CALL_SECONDS)
        self._listener = Listener(self._url, seconds=CALL_SECONDS)
        self._blocking: redis.Redis | None = None
        self._blocking_lock = Lock()

    async def open(self) -> None:
        """Connect and look whether this Redis will do. Raises `BackendError` or `ValidationError`, a line each."""
        try:
            info = _parsed(await self._lane.call("INFO"))
            _refuse_old(info)
            await self._refuse_what_forgets(info)
            await self._listener.open()
        except BackendError as exc:
            await self.close()
            raise BackendError(f"{FIELD}: {exc.message} ({self._url.place})") from exc
        except (RedisError, OSError) as exc:
            await self.close()
            error = as_backend_error(exc)
            raise BackendError(f"{FIELD}: {error.message} ({self._url.place})") from exc
        except ValidationError:
            await self.close()
            raise

    async def _refuse_what_forgets(self, info: dict[str, str]) -> None:
        policy = info.get("maxmemory_policy")
        if policy is None:
            policy = await self._policy()
        if policy is None:
            logger.warning("%s: its maxmemory-policy cannot be seen; it must be noeviction", FIELD)
        elif policy != _KEEPS_ALL:
            raise ValidationError(
                f"{FIELD}: this Redis has maxmemory-policy {policy}, which throws runs away when memory is "
                "short; set it to noeviction"
            )

    async def _policy(self) -> str | None:
        try:
            found = await self._lane.call("CONFIG", "GET", "maxmemory-policy")
        except ResponseError:
            return None
        return None if len(found) < 2 else cast("bytes", found[1]).decode()

    async def close(self) -> None:
        await self._listener.close()
        await self._lane.close()
        if self._blocking is not None:
            self._blocking.close()

    async def check(self) -> None:
        """Raise `BackendError` while Redis cannot be used."""
        await self.call("PING")

    async def call(self, *command: Argument) -> Any:
        try:
            return await self._lane.call(*command)
        except ResponseError as exc:
            raise as_backend_error(exc) from exc

    async def run(self, script: Script, keys: list[str], *args: Argument) -> Any:
        command = (len(keys), *keys, *args)
        try:
            try:
                return await self._lane.call("EVALSHA", script.sha, *command)
            except NoScriptError:
                return await self._lane.call("EVAL", script.source, *command)
        except ResponseError as exc:
            raise _told(script, exc) from exc

    def run_blocking(self, script: Script, keys: list[str], *args: Argument, seconds: float) -> Any:
        """`run`, from a thread that waits."""
        with self._blocking_lock:
            if self._blocking is None:
                self._blocking = self._url.blocking(seconds)
            client: Any = self._blocking
            try:
                try:
                    return client.evalsha(script.sha, len(keys), *keys, *args)
                except NoScriptError:
                    return client.eval(script.source, len(keys), *keys, *args)
            except (RedisError, OSError) as exc:
                raise _told(script, exc) from exc

    async def subscribe(self, channel: str, callback: Callback) -> None:
        await self._listener.subscribe(channel, callback)

    def unsubscribe(self, channel: str, callback: Callback) -> None:
        self._listener.unsubscribe(channel, callback)


def _told(script: Script, exc: Exception) -> BackendError:
    error = as_backend_error(exc)
    if isinstance(exc, ResponseError) and not isinstance(exc, NoPermissionError):
        logger.error("redis refuses %s: %s", script.name, exc)
    return error


def _parsed(info: Any) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else str(info)
    return dict(
        cast("tuple[str, str]", line.split(":", 1)) for line in text.splitlines() if ":" in line
    )


def _refuse_old(info: dict[str, str]) -> None:
    version = info.get("redis_version", "")
    parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if parts and parts < OLDEST:
        raise ValidationError(
            f"{FIELD}: Redis {version} is too old; 6.2 or newer is needed, or Valkey"
        )
    if info.get("cluster_enabled") == "1" or info.get("redis_mode") == "cluster":
        raise ValidationError(f"{FIELD}: this Redis is a cluster, which is not supported")
