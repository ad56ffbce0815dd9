"""Ending a process whose event loop does not: code of the agent has it, and does not give it back."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

import msgspec

logger = logging.getLogger(__name__)

# A loop that does not come round for so long, when all should be over, is not waited for.
_STUCK_SECONDS: Final = 3.0
# For the last line of the log; whoever holds up the loop may hold the log, too.
_LOG_SECONDS: Final = 1.0


class _Order(msgspec.Struct, frozen=True):
    at: float
    whatever: bool


class LastResort:
    """A thread that ends the process with code 1, when it is told to and the loop does not end it before.

    It is there before it is needed, and is told through a queue: a signal's handler stands in the middle of anything,
    so it must neither start a thread nor take a lock. The latest word counts.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()

    def start(self) -> None:
        thread = threading.Thread(target=self._wait, name="dockrion-last-resort", daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            # A system without a thread to spare: what works without this one is to work.
            logger.warning("a blocked event loop would not be ended", exc_info=exc)

    def end_if_stuck_after(self, seconds: float) -> None:
        """End the process once the loop is stuck, but not before `seconds` have passed."""
        self._orders.put(_Order(monotonic() + seconds, whatever=False))

    def end_after(self, seconds: float) -> None:
        """End the process in `seconds`, whether or not the loop is stuck."""
        self._orders.put(_Order(monotonic() + seconds, whatever=True))

    def cancel(self) -> None:
        """Do nothing more, for good."""
        self._orders.put(None)

    def _wait(self) -> None:
        order = self._orders.get()
        while order is not None:
            try:
                order = self._orders.get(timeout=max(0.0, order.at - monotonic()))
            except Empty:
                if order.whatever or self._is_stuck():
                    _end()
                order = _Order(monotonic() + _STUCK_SECONDS, whatever=False)

    def _is_stuck(self) -> bool:
        turned = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turned.set)
        except RuntimeError:  # it is closed
            return False
        stuck = not turned.wait(_STUCK_SECONDS)
        return stuck and self._loop.is_running() and self._orders.empty()


def _end() -> None:
    said = threading.Thread(
        target=logger.error,
        args=("ending without the event loop, which does not end by itself",),
        daemon=True,
    )
    try:
        said.start()
        said.join(_LOG_SECONDS)
    finally:
        os._exit(1)
