"""A process that works, and whose event loop its first run blocks for ever: `python -m ... URL`."""

from __future__ import annotations

import asyncio
import sys
import time

from dockrion.backends.redis import RedisConnections
from dockrion.runs.dispatch.docket import DocketDispatcher
from tests.runs.dispatch.docket_kit import PREFIX


async def execute(run_id: str) -> None:
    print(run_id, flush=True)
    time.sleep(3600)


async def work(url: str) -> None:
    one = DocketDispatcher(RedisConnections(url), prefix=PREFIX)
    await one.open()
    one.work(execute, 10)
    print("works", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
