"""The connection of a stream: watched while it is open, and let go of when its caller has gone or takes nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol

from dockrion.events.model import Failed
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runtime.asgi import Receive, Scope
from dockrion.runtime.host import AgentHost
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.unforeseen import told
from dockrion.wires.native import NativeWire


class Writer(Protocol):
    """Writes the frames of a run. `break_off` ends a stream that cannot go on, with the closing event of its protocol;
    it raises what `send` does. `is_kept`: somebody else reads the run now.
    """

    @property
    def is_kept(self) -> bool: ...

    async def break_off(self, failure: Failed, timestamp: str) -> None: ...


class Connection:
    """`async with` it, from before the first byte until the last: heartbeats come due meanwhile, and a caller who goes
    is noticed. That one has gone, or was given up, ends the block without an exception.

    So does an exception that nobody expects, once there is the `writer`: the head has been sent, so the last word is its.

    Without `receive`, somebody else tells the source that its caller has gone.
    """

    __slots__ = ("_host", "_receive", "_scope", "_source", "_stream", "writer")

    def __init__(
        self, host: AgentHost, source: Run | Reader, scope: Scope, receive: Receive | None
    ) -> None:
        extensions: Any = scope.get("extensions") or {}
        transport = extensions.get("dockrion.transport")
        self._stream = OpenStream(source.heartbeats, asyncio.current_task(), transport)
        self._host = host
        self._source = source
        self._scope = scope
        self._receive = receive
        self.writer: Writer | None = None

    async def __aenter__(self) -> OpenStream:
        if self._receive is not None:
            self._host.streams.watch(self._source, self._receive)
        self._host.streams.add(self._stream)
        return self._stream

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            if isinstance(error, Exception):
                return await self._is_told(error)
            return await self._gave_up(error)
        except asyncio.CancelledError as exc:
            if await self._gave_up(exc):
                return True
            raise
        finally:
            self._host.streams.discard(self._stream)
            self._host.streams.unwatch(self._source)

    async def _gave_up(self, error: BaseException | None) -> bool:
        if not (isinstance(error, asyncio.CancelledError) and self._stream.gave_up):
            return False
        await _drop(self._stream)
        return True

    async def _is_told(self, error: Exception) -> bool:
        """End a stream that has broken with the last word of its writer; false where there is none yet."""
        writer, stream = self.writer, self._stream
        if isinstance(error, OSError) and (writer is None or stream.sending_since):
            # Some servers say so when the caller has gone.
            return True
        if writer is None:
            return False
        source = self._source
        last = told(error, self._scope, run_id=source.run_id)
        failure = Failed(last.message, last.code, last.details)
        if not writer.is_kept:
            source.break_off(failure)
        stream.sending()
        with suppress(OSError):
            await writer.break_off(failure, self._host.timestamps.now())
        return True


def native_wire(host: AgentHost, source: Run | Reader) -> NativeWire:
    return NativeWire(
        source.run_id,
        heartbeat_events=source.heartbeat_events,
        timestamps=host.timestamps.now,
    )


async def _drop(stream: OpenStream) -> None:
    """Let the connection of a caller who takes nothing go, with what is still unsent."""
    if stream.task is not None:
        stream.task.uncancel()
    if stream.transport is not None:
        stream.transport.abort()
        # The server has heard of it then: else this end would be one in the middle of an answer.
        await asyncio.sleep(0)
