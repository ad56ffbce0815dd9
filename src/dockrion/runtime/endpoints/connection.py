"""The connection of a stream: watched while it is open, and let go of when its caller has gone or takes nothing."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runtime.asgi import Receive, Scope
from dockrion.runtime.host import AgentHost
from dockrion.runtime.streams import OpenStream
from dockrion.wires.native import NativeWire


class Connection:
    """`async with` it, from before the first byte until the last: heartbeats come due meanwhile, and a caller who goes
    is noticed. That one has gone, or was given up, ends the block without an exception.

    Without `receive`, somebody else tells the source that its caller has gone.
    """

    __slots__ = ("_host", "_receive", "_source", "_stream")

    def __init__(
        self, host: AgentHost, source: Run | Reader, scope: Scope, receive: Receive | None
    ) -> None:
        extensions: Any = scope.get("extensions") or {}
        transport = extensions.get("dockrion.transport")
        self._stream = OpenStream(source.heartbeats, asyncio.current_task(), transport)
        self._host = host
        self._source = source
        self._receive = receive

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
            if isinstance(error, asyncio.CancelledError) and self._stream.gave_up:
                await _drop(self._stream)
                return True
            # Some servers say so when the caller has gone.
            return isinstance(error, OSError)
        finally:
            self._host.streams.discard(self._stream)
            self._host.streams.unwatch(self._source)


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
