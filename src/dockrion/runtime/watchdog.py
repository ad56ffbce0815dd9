"""Noticing code that blocks the event loop, and where it stands."""

from __future__ import annotations

import asyncio
import logging
import sys
import sysconfig
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from types import FrameType

logger = logging.getLogger(__name__)


class LoopWatchdog:
    """Logs where the loop's thread stands when it has not come round for `limit_seconds`, once for each block.

    The loop leaves a mark twice in that time; a thread looks at it. Only code that is neither Python's own nor
    the server's is named: that the machine is busy is no fault of the agent.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_seconds: float,
        *,
        on_block: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_block` is called on the loop, once for each block."""
        self._loop = loop
        self._on_block = on_block
        self._limit = limit_seconds
        self._mark = monotonic()
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._timer: asyncio.TimerHandle | None = None
        # The frames that run the loop itself: whoever called it is not what blocks it.
        self._below: set[FrameType] = set()

    def start(self) -> None:
        """Begin, on the loop's thread."""
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        frame: FrameType | None = sys._getframe()  # pyright: ignore[reportPrivateUsage]
        while (frame := frame.f_back if frame else None) is not None:
            self._below.add(frame)
        self._leave_mark()
        threading.Thread(target=self._watch, name="dockrion-watchdog", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        self._below.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _leave_mark(self) -> None:
        self._mark = monotonic()
        self._timer = self._loop.call_later(self._limit / 2, self._leave_mark)

    def _watch(self) -> None:
        named = -1.0
        while not self._stopped.wait(self._limit / 2) and not self._loop.is_closed():
            mark = self._mark
            # Half a limit of it is the mark's own pace.
            blocked = self._loop.is_running() and monotonic() - mark > 1.5 * self._limit
            if blocked and mark != named:
                named = mark if self._name() else named

    def _name(self) -> bool:
        standing = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage]
        frame = _culprit(standing, self._below)
        if frame is None:
            return False
        # Before the line, so that whoever reads that finds it counted.
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._on_block)
        logger.warning(
            "code of the agent blocks the event loop: every other stream waits; await it, or make the handler sync",
            extra={
                "file": frame.f_code.co_filename,
                "line": frame.f_lineno,
                "function": frame.f_code.co_qualname,
                "limit_ms": round(self._limit * 1000),
            },
        )
        return True


def _culprit(frame: FrameType | None, below: AbstractSet[FrameType]) -> FrameType | None:
    """Return the innermost frame of the agent's own code; else of a library that it uses."""
    library: FrameType | None = None
    while frame is not None and frame not in below:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS) and not file.startswith("<"):
            if not file.startswith(_PYTHON):
                return frame
            if library is None and "site-packages" in file:
                library = frame
        frame = frame.f_back
    return library


def _package_folder(name: str) -> str:
    spec = find_spec(name)
    origin = None if spec is None else spec.origin
    return "\0" if origin is None else str(Path(origin).parent)


_OURS = tuple(
    _package_folder(name)
    for name in ("dockrion", "uvicorn", "uvloop", "fastapi", "starlette", "anyio", "asyncio")
)
_PYTHON = tuple(
    sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
