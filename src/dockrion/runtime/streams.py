"""Open requests: one clock for all of them, for heartbeats and for callers who went away or take nothing."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from dockrion.runtime.asgi import Receive

if TYPE_CHECKING:
    from dockrion.runtime.transport import AnswerTransport

# A caller who goes away is noticed within one period, and must be within a second.
MAX_PERIOD_SECONDS: Final = 0.25


class Heartbeats(Protocol):
    """Where a stream's writer hears that a heartbeat is due."""

    heartbeat_due: bool

    def nudge(self) -> None: ...


class Awaited(Protocol):
    """What a caller waits for, told when it has gone."""

    def caller_left(self) -> None: ...


class OpenStream:
    """One stream's times, in `monotonic` seconds; its endpoint says when a send begins and when it has ended."""

    __slots__ = (
        "gave_up",
        "heartbeats",
        "last_sent",
        "looked_at",
        "sending_since",
        "task",
        "transport",
        "unsent_before",
    )

    def __init__(
        self,
        heartbeats: Heartbeats,
        task: asyncio.Task[Any] | None,
        transport: AnswerTransport | None,
    ) -> None:
        self.heartbeats = heartbeats
        self.task = task
        # Where the server is ours.
        self.transport = transport
        self.unsent_before = 0
        # The `sending_since` that `unsent_before` belongs to.
        self.looked_at = 0.0
        self.last_sent = monotonic()
        # 0 while no send is under way.
        self.sending_since = 0.0
        self.gave_up = False

    def sending(self) -> None:
        self.sending_since = self.last_sent = monotonic()

    def sent(self) -> None:
        self.sending_since = 0.0

    def give_up(self) -> None:
        if self.task is not None and not self.gave_up:
            self.gave_up = True
            self.task.cancel()


class StreamClock:
    """Looks at all open requests every `period`: no timer and no task for each of them.

    A stream that sent nothing for `heartbeat_seconds` gets a heartbeat. One whose caller takes nothing for
    `write_seconds` is given up: its task is cancelled with `gave_up` set. A request that is older than one
    period gets a task that waits for its caller to go away; most end before they need one.
    """

    def __init__(self, *, heartbeat_seconds: float, write_seconds: float) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._write_seconds = write_seconds
        self._period = min(
            MAX_PERIOD_SECONDS, max(0.02, min(heartbeat_seconds, write_seconds) / 20)
        )
        self._streams: set[OpenStream] = set()
        self._unwatched: dict[Awaited, Receive] = {}
        self._watchers: dict[Awaited, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle: asyncio.Event | None = None

    @property
    def open(self) -> int:
        return len(self._streams)

    def add(self, stream: OpenStream) -> None:
        self._streams.add(stream)
        self._start()

    def discard(self, stream: OpenStream) -> None:
        self._streams.discard(stream)
        if self._idle is not None and not self._streams:
            self._idle.set()

    async def idle_within(self, seconds: float) -> bool:
        """Wait until no stream is open any more; return whether that came in time."""
        if not self._streams:
            return True
        self._idle = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def watch(self, awaited: Awaited, receive: Receive) -> None:
        """Tell `awaited` when its caller goes away, until `unwatch`."""
        self._unwatched[awaited] = receive
        self._start()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._period, self._tick, loop)

    def unwatch(self, awaited: Awaited) -> None:
        """Stop; may be called twice."""
        if self._unwatched.pop(awaited, None) is None:
            watcher = self._watchers.pop(awaited, None)
            if watcher is not None:
                watcher.cancel()

    def give_up_all(self) -> None:
        """Drop the streams that are still open: at the end of a shutdown, those whose callers do not read."""
        for stream in list(self._streams):
            stream.give_up()

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._look_at_all(loop)
        finally:
            busy = self._streams or self._watchers
            self._timer = loop.call_later(self._period, self._tick, loop) if busy else None

    def _look_at_all(self, loop: asyncio.AbstractEventLoop) -> None:
        now = monotonic()
        for stream in self._streams:
            if stream.sending_since:
                self._look_at_send(stream, now)
            elif now - stream.last_sent >= self._heartbeat_seconds:
                stream.last_sent = now
                stream.heartbeats.heartbeat_due = True
                stream.heartbeats.nudge()
        for awaited, receive in self._unwatched.items():
            self._watchers[awaited] = loop.create_task(_until_gone(awaited, receive))
        self._unwatched.clear()

    def _look_at_send(self, stream: OpenStream, now: float) -> None:
        """Give up a stream whose send waits, when its caller took nothing for too long.

        A slow caller is not a gone one: one send may wait for long while bytes do leave.
        """
        if stream.transport is None:
            if now - stream.sending_since > self._write_seconds:
                stream.give_up()
        elif stream.looked_at != stream.sending_since:
            # The first look at this send has nothing to compare with.
            stream.looked_at = stream.sending_since
            stream.unsent_before = stream.transport.unsent()
        elif now - stream.sending_since > self._write_seconds:
            unsent = stream.transport.unsent()
            if unsent == stream.unsent_before:
                stream.give_up()
            stream.unsent_before = unsent
            stream.looked_at = stream.sending_since = now


async def _until_gone(awaited: Awaited, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    awaited.caller_left()
