"""`--workers`: several processes that serve the agent on the same sockets; one that dies is replaced."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final, Literal

from dockrion.errors import DockrionError
from dockrion.runtime.supervisor.link import Orders
from dockrion.runtime.supervisor.process import ServerProcess, how_it_ended
from dockrion.runtime.supervisor.stopping import Stopping
from dockrion.spec import METRICS_FOLDER, process_setting

logger = logging.getLogger(__name__)

# A worker that lived for so long was healthy; its successor starts at once.
_HEALTHY_SECONDS: Final = 10.0
_FIRST_DELAY_SECONDS: Final = 0.1
_MAX_DELAY_SECONDS: Final = 5.0

State = Literal["loading", "ready", "failed"]


def serve_with_workers(
    orders: Orders, sockets: list[socket.socket], count: int, *, on_ready: Callable[[], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C; raise what the last of them raised when no worker can load the agent.

    Calls `on_ready` once, when every worker is ready or known not to be.
    """
    with _shared_metrics():
        asyncio.run(_Workers(orders, sockets, count, on_ready).run())


@contextmanager
def _shared_metrics() -> Generator[None]:
    """Give the workers an empty folder for their metrics, unless they have one already."""
    if process_setting(METRICS_FOLDER) is not None:
        yield
        return
    with TemporaryDirectory(prefix="dockrion-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[METRICS_FOLDER]


class _Workers:
    def __init__(
        self,
        orders: Orders,
        sockets: list[socket.socket],
        count: int,
        on_ready: Callable[[], None],
    ) -> None:
        self._orders = orders
        self._sockets = sockets
        self._states: list[State] = ["loading"] * count
        self._on_ready: Callable[[], None] | None = on_ready
        self._error: DockrionError | None = None

    async def run(self) -> None:
        self._stopping = Stopping()
        with self._stopping.on_signals():
            async with asyncio.TaskGroup() as tasks:
                for index in range(len(self._states)):
                    tasks.create_task(self._keep(index))
        if self._error is not None:
            raise self._error

    async def _keep(self, index: int) -> None:
        """Have one worker at this place, until the end."""
        delay = _FIRST_DELAY_SECONDS
        while not self._stopping.asked.is_set():
            began = time.monotonic()
            await self._serve_once(index)
            if time.monotonic() - began > _HEALTHY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            if await self._stopping.within(delay):
                return
            delay = min(2 * delay, _MAX_DELAY_SECONDS)

    async def _serve_once(self, index: int) -> None:
        worker = await ServerProcess.start(self._orders, self._sockets)
        with self._stopping.covers(worker):
            error = await worker.loaded()
            self._turned(index, "ready" if error is None else "failed")
            code = await worker.ended()
        if self._stopping.asked.is_set():
            return
        if error is None:
            # Until its successor has told otherwise.
            self._states[index] = "loading"
            logger.warning(
                "worker is replaced", extra={"pid": worker.pid, "reason": how_it_ended(code)}
            )
        elif all(state == "failed" for state in self._states):
            self._error = error
            self._stopping.ask()
        else:
            logger.error(
                "worker could not load the agent",
                extra={"pid": worker.pid, "reason": error.message},
            )

    def _turned(self, index: int, state: State) -> None:
        self._states[index] = state
        if self._on_ready is None or self._stopping.asked.is_set():
            return
        if "ready" in self._states and "loading" not in self._states:
            on_ready, self._on_ready = self._on_ready, None
            on_ready()
