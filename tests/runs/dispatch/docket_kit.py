"""Dispatchers on a real Redis, and what they were given to execute."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from dockrion.backends.redis import RedisConnections
from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.runs.dispatch.docket import DocketDispatcher
from dockrion.runs.store.base import RunRecord
from tests.contracts.run_stores import until

PREFIX = "agent:"


def record(run_id: str, *, end: int = 0, attempt: int = 0) -> RunRecord:
    return RunRecord(
        run_id=run_id,
        status=RunStatus.ACCEPTED,
        owner=Identity("ann", "api_key"),
        fingerprint="f",
        created_at=0.0,
        end=end,
        attempt=attempt,
    )


class Executed:
    """Executes: notes the runs it was given, each of which lasts until `let_go`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._may_end = asyncio.Event()

    async def __call__(self, run_id: str) -> None:
        self.begun.append(run_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._may_end.wait()
        finally:
            self.at_once -= 1

    def let_go(self) -> None:
        """Those that run end, and those that begin from now on at once."""
        self._may_end.set()

    async def come(self, count: int, *, seconds: float = 10.0) -> None:
        await until(lambda: len(self.begun) >= count, seconds=seconds)


@asynccontextmanager
async def dispatcher(
    url: str, executed: Executed | None = None, *, concurrency: int = 10
) -> AsyncGenerator[DocketDispatcher]:
    """Open a dispatcher on a backend of its own, as a process has it, which works where there is who executes."""
    one = DocketDispatcher(RedisConnections(url), prefix=PREFIX)
    await one.open()
    if executed is not None:
        one.work(executed, concurrency)
    try:
        yield one
    finally:
        await one.close()
