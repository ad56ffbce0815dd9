"""Draining on SIGTERM and SIGINT, under any server.

Servers close their listener first and run the lifespan's end last, which is too late to drain: balancers must
see `/ready` say no while the port still answers. So the signals are chained: ours come first, and hand over to
the server when the streams have ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from functools import cache
from multiprocessing import parent_process
from types import FrameType
from typing import Any, Final

from dockrion.runs.runner import LAST_WORD_SECONDS
from dockrion.runtime.host import AgentHost
from dockrion.runtime.last_resort import LastResort

logger = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
# What a supervisor of ours sends for "now"; Windows has no such signal, and no such supervisor.
NOW: Final = getattr(signal, "SIGQUIT", None)
# How long the loop gets for a second signal before the process ends without it: an agent may block it.
FORCED_SECONDS: Final = 2.0
# What a drain takes at most beyond its grace: the closing events, then the last bytes.
DRAINED_SECONDS: Final = 2 * LAST_WORD_SECONDS


class DrainOnSignal:
    """Installed while a host is started; in the main thread only, where signals can be handled.

    An app that is `mounted` in another one has no lifespan of its own, and learns of no end. So it takes signals only
    from a server that had a handler for them, and where the loop has ended they go straight on to that one.

    A second signal ends at once. Not so where a supervisor starts and stops this process: one Ctrl-C, or one
    SIGTERM to a whole group, comes from the system and from the supervisor too. There SIGTERM says the same
    however often it comes, and only a second SIGINT, or SIGQUIT, ends at once.
    """

    def __init__(
        self, host: AgentHost, loop: asyncio.AbstractEventLoop, *, supervised: bool = False
    ) -> None:
        self._host = host
        self._loop = loop
        # Workers of uvicorn are processes of multiprocessing.
        self._supervised = supervised or parent_process() is not None
        self._previous: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None
        self._received: list[int] = []
        self._last_resort = LastResort(loop)
        self._forced = False

    def install(self, *, mounted: bool = False) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if mounted and not callable(signal.getsignal(signal.SIGTERM)):
            return
        _let_forked_children_go()
        self._last_resort.start()
        for number in (*SIGNALS, *((NOW,) if self._supervised and NOW is not None else ())):
            self._previous[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        for number, handler in self._previous.items():
            installed = signal.getsignal(number)
            if installed == self._handle:
                signal.signal(number, handler)
            else:
                self._leave_chain(installed, number, handler)
        self._previous.clear()
        self._last_resort.cancel()

    def _leave_chain(self, installed: Any, number: int, handler: Any) -> None:
        """Let the one whose handler came after ours hand over to what was there before us: apps end in any order."""
        above = getattr(installed, "__self__", None)
        while isinstance(above, DrainOnSignal):
            below = above._previous.get(number)
            if below == self._handle:
                above._previous[number] = handler
                return
            above = getattr(below, "__self__", None)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._loop.is_running():
            self._hand_over(number)
            return
        self._received.append(number)
        if not self._is_urgent(number):
            if len(self._received) == 1:
                grace = float(self._host.spec.expose.shutdown_grace)
                self._last_resort.end_if_stuck_after(grace + DRAINED_SECONDS)
                self._loop.call_soon_threadsafe(self._begin, number)
            return
        if not self._forced:
            self._forced = True
            self._last_resort.end_after(FORCED_SECONDS)
        self._loop.call_soon_threadsafe(self._end_now, number)

    def _is_urgent(self, number: int) -> bool:
        if not self._supervised:
            return len(self._received) > 1
        return number == NOW or (number == signal.SIGINT and self._received.count(number) > 1)

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
        await asyncio.gather(*(host.drain() for host in self._hosts(number)))
        server = getattr(self._previous.get(number), "__self__", None)
        if isinstance(getattr(server, "should_exit", None), bool):
            # uvicorn. Its handler would raise the signal again at its end, and a drained process is to exit with 0:
            # https://github.com/encode/uvicorn/blob/master/uvicorn/server.py (capture_signals)
            server.should_exit = True  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
        else:
            self._hand_over(number)

    def _hosts(self, number: int) -> list[AgentHost]:
        """Return this host, and those beside it in the process whose handlers were there before: they drain at once."""
        before = getattr(self._previous.get(number), "__self__", None)
        others = before._hosts(number) if isinstance(before, DrainOnSignal) else []
        return [self._host, *others]

    def _end_now(self, number: int) -> None:
        logger.info("ending now", extra={"signal": signal.Signals(number).name})
        self._host.end_now()
        self._hand_over(number if number in SIGNALS else signal.SIGTERM)
        # A second SIGINT is what makes uvicorn stop waiting for connections that do not close.
        self._hand_over(signal.SIGINT)

    def _hand_over(self, number: int) -> None:
        handler = self._previous.get(number)
        if callable(handler):
            handler(number, None)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


@cache
def _let_forked_children_go() -> None:
    """Give a process that the agent forks the system's handlers: it has no loop that could drain.

    With ours it would ignore SIGTERM, and wake the loop of this process, whose socket it has. Once a process: such a
    hook cannot be taken back.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_signals)


def _forget_signals() -> None:
    ours = [
        number
        for number in (*SIGNALS, *(() if NOW is None else (NOW,)))
        if isinstance(getattr(signal.getsignal(number), "__self__", None), DrainOnSignal)
    ]
    if not ours:
        return
    signal.set_wakeup_fd(-1)
    for number in ours:
        interrupts = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if interrupts else signal.SIG_DFL)
