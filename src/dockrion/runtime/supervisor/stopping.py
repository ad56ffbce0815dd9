"""The signals that a supervisor gets: the first one asks its processes to drain, the next to end at once."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from dockrion.runtime.shutdown import SIGNALS
from dockrion.runtime.supervisor.process import ServerProcess

# For processes that were told to end at once; they end by themselves in less, if they can.
_NOW_SECONDS: Final = 5.0


class Stopping:
    """Knows whether the supervisor is to stop, and passes that on to the processes it looks after."""

    def __init__(self) -> None:
        self.asked: Final = asyncio.Event()
        self._processes: set[ServerProcess] = set()

    @contextmanager
    def on_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._signalled)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def ask(self) -> None:
        self.asked.set()
        for process in self._processes:
            process.drain()

    @contextmanager
    def covers(self, process: ServerProcess) -> Generator[None]:
        self._processes.add(process)
        if self.asked.is_set():
            process.drain()
        try:
            yield
        finally:
            self._processes.discard(process)

    async def within(self, seconds: float) -> bool:
        """Wait so long, or until it is to stop; return whether it is."""
        try:
            async with asyncio.timeout(seconds):
                await self.asked.wait()
        except TimeoutError:
            return False
        return True

    def _signalled(self) -> None:
        if not self.asked.is_set():
            self.ask()
            return
        for process in self._processes:
            process.end_now()
        asyncio.get_running_loop().call_later(_NOW_SECONDS, self._kill)

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
