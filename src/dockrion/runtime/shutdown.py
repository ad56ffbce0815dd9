"""Draining on SIGTERM and SIGINT, under any server.

Servers close their listener first and run the lifespan's end last, which is too late to drain: balancers must
see `/ready` say no while the port still answers. So the signals are chained: ours come first, and hand over to
the server's own handlers when the streams have ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from types import FrameType
from typing import Any, Final

from dockrion.runtime.host import AgentHost

logger = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# How long the loop gets for a second signal before the process ends without it: an agent may block it.
FORCED_SECONDS: Final = 2.0


class DrainOnSignal:
    """Installed while the app's lifespan runs; in the main thread only, where signals can be handled."""

    def __init__(self, host: AgentHost, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._previous: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
        self._signals = 0
        self._forced: threading.Timer | None = None

    def install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        for number, handler in self._previous.items():
            # Somebody else's handler may have come after ours.
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)
        self._previous.clear()
        if self._forced is not None:
            self._forced.cancel()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals == 1:
            self._loop.call_soon_threadsafe(self._begin, number)
            return
        self._loop.call_soon_threadsafe(self._end_now, number)
        if self._forced is None:
            self._forced = threading.Timer(FORCED_SECONDS, os._exit, [1])
            self._forced.daemon = True
            self._forced.start()

    def _begin(self, number: int) -> None:
        runner = self._host.runner
        logger.info(
            "draining",
            extra={
                "signal": signal.Signals(number).name,
                "runs": 0 if runner is None else runner.active,
                "grace_seconds": self._host.spec.expose.shutdown_grace,
            },
        )
        self._draining = self._loop.create_task(self._drain(number))

    async def _drain(self, number: int) -> None:
        await self._host.drain()
        self._hand_over(number)

    def _end_now(self, number: int) -> None:
        logger.info("second signal: ending now", extra={"signal": signal.Signals(number).name})
        self._host.end_now()
        self._hand_over(number)
        # A second SIGINT is what makes uvicorn stop waiting for connections that do not close.
        self._hand_over(signal.SIGINT)

    def _hand_over(self, number: int) -> None:
        handler = self._previous.get(number)
        if callable(handler):
            handler(number, None)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
