"""Messages from Redis: one subscribing connection for all who wait for a sign in this process."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any, Final, TypeAlias

from redis.exceptions import RedisError

from dockrion.backends.base import BackendError
from dockrion.backends.redis_errors import SILENT, as_backend_error, refusal
from dockrion.backends.redis_url import RedisUrl

logger = logging.getLogger(__name__)

# Called with the message, or with None when some may have been missed.
Callback: TypeAlias = Callable[[bytes | None], None]
# A connection that has said nothing to two pings is lost.
_PING_SECONDS: Final = 2.5
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
# Of one SUBSCRIBE.
_CHANNELS: Final = 500


class Listener:
    """Calls back for each message on a channel. It connects again by itself, and then calls everybody.

    `seconds` is how long a subscription may take.
    """

    def __init__(self, url: RedisUrl, *, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._callbacks: dict[bytes, set[Callback]] = {}
        self._worker: asyncio.Task[None] | None = None
        self._forget_connection()
        # Who waits for the confirmation of a channel.
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        self._wanted = asyncio.Event()
        self._again = False
        self._connection: Any = url.connect()

    async def open(self) -> None:
        """Connect; raise what a first connection raises."""
        async with asyncio.timeout(self._seconds):
            await self._connection.connect()
        self._worker = asyncio.create_task(self._work(), name="redis listener")

    async def close(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
            self._worker = None
        for future in self._waiting.values():
            future.cancel()
        await self._connection.disconnect()

    async def subscribe(self, channel: str, callback: Callback) -> None:
        """Call back for messages that are published once this has returned. Raises `BackendError`."""
        name = channel.encode()
        callbacks = self._callbacks.setdefault(name, set())
        if callback in callbacks:
            raise ValueError("the callback has been subscribed already")
        callbacks.add(callback)
        self._wanted.set()
        if self._is_confirmed(name):
            return
        confirmed = self._waiting.get(name)
        if confirmed is None:
            confirmed = self._waiting[name] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._seconds):
                # Others may wait for it, too.
                await asyncio.shield(confirmed)
        except TimeoutError:
            self.unsubscribe(channel, callback)
            raise BackendError(SILENT) from None
        except BaseException:
            self.unsubscribe(channel, callback)
            raise

    def unsubscribe(self, channel: str, callback: Callback) -> None:
        name = channel.encode()
        callbacks = self._callbacks.get(name)
        if callbacks is None:
            return
        callbacks.discard(callback)
        if not callbacks:
            del self._callbacks[name]
            self._waiting.pop(name, None)
            self._wanted.set()

    def _is_confirmed(self, name: bytes) -> bool:
        return name in self._sent and not self._unconfirmed[name]

    def _forget_connection(self) -> None:
        # What Redis has been asked for on this connection, and how often it has not said yet that it did.
        self._sent: set[bytes] = set()
        self._unconfirmed: Counter[bytes] = Counter()
        self._heard = True

    async def _work(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._connection.connect()
                pause = _FIRST_PAUSE
                await self._talk(self._connection)
            except (RedisError, OSError, TimeoutError) as exc:
                self._say_why(exc)
            except Exception:
                logger.exception("reading messages of redis failed")
            await self._connection.disconnect(nowait=True)
            self._forget_connection()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._connection = self._url.connect()
            self._again = True

    def _say_why(self, exc: Exception) -> None:
        if refusal(exc) is None:
            logger.debug("lost the messages of redis", extra={"reason": str(as_backend_error(exc))})
            return
        # Waiting would not change it.
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(as_backend_error(exc))
        self._waiting.clear()

    async def _talk(self, connection: Any) -> None:
        """Until the connection is lost, which it raises."""
        self._wanted.set()
        sender = asyncio.create_task(self._send(connection), name="redis subscriptions")
        reader = asyncio.create_task(self._read(connection), name="redis messages")
        try:
            done, _ = await asyncio.wait([sender, reader], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sender.cancel()
            reader.cancel()
            await asyncio.wait([sender, reader])
        for task in done:
            task.result()

    async def _send(self, connection: Any) -> None:
        while True:
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                if not self._heard:
                    raise
                self._heard = False
                await connection.send_command("PING", check_health=False)
                continue
            self._wanted.clear()
            wanted = self._callbacks.keys()
            await self._ask(connection, "UNSUBSCRIBE", [*(self._sent - wanted)])
            await self._ask(connection, "SUBSCRIBE", [*(wanted - self._sent)])

    async def _ask(self, connection: Any, command: str, names: list[bytes]) -> None:
        for start in range(0, len(names), _CHANNELS):
            some = names[start : start + _CHANNELS]
            if command == "SUBSCRIBE":
                self._sent.update(some)
                self._unconfirmed.update(some)
            else:
                self._sent.difference_update(some)
            await connection.send_command(command, *some, check_health=False)

    async def _read(self, connection: Any) -> None:
        while True:
            message = await connection.read_response(timeout=inf)
            self._heard = True
            match message:
                case [b"message", channel, data]:
                    self._call(channel, data)
                case [b"subscribe", channel, _]:
                    self._confirm(channel)
                case _:
                    pass

    def _confirm(self, name: bytes) -> None:
        self._unconfirmed[name] -= 1
        if self._unconfirmed[name] > 0:
            return
        del self._unconfirmed[name]
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        if self._again:
            # What was published while there was no connection has been missed.
            self._call(name, None)

    def _call(self, name: bytes, message: bytes | None) -> None:
        for callback in [*self._callbacks.get(name, ())]:
            callback(message)
