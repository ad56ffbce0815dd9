"""An async context manager that is open for as long as an agent serves."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from typing import Any

logger = logging.getLogger(__name__)


class HeldContext:
    """Entered and left in one task, which waits in between: anyio's task groups, and so MCP sessions, want that."""

    def __init__(self, manager: AbstractAsyncContextManager[Any]) -> None:
        self._manager = manager
        self._agent: Any = None
        self._entered = asyncio.Event()
        self._leave = asyncio.Event()
        self._failure: BaseException | None = None
        self._task: asyncio.Task[None] | None = None

    async def enter(self) -> Any:
        """Return what the context manager gives; raise what it raises."""
        self._task = asyncio.get_running_loop().create_task(self._hold())
        try:
            await self._entered.wait()
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if self._failure is not None:
            raise self._failure
        return self._agent

    async def leave(self) -> None:
        """Raise what leaving it raises."""
        self._leave.set()
        if self._task is not None:
            await self._task
        if self._failure is not None:
            raise self._failure

    async def _hold(self) -> None:
        try:
            async with self._manager as self._agent:
                self._entered.set()
                await self._leave.wait()
        except BaseException as exc:  # SystemExit too: a task that raises it ends the loop
            if not self._entered.is_set() or self._leave.is_set():
                self._failure = exc
            elif not isinstance(exc, asyncio.CancelledError):
                logger.error("the agent's context manager has ended by itself", exc_info=exc)
        finally:
            self._entered.set()
