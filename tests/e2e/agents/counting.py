"""An agent that notes each of its runs in the file `runs`, and takes some moments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any


async def handle(payload: dict[str, Any]) -> AsyncIterator[str]:
    with Path("runs").open("a") as runs:
        runs.write(f"{payload['job']}\n")
    for number in range(payload["tokens"]):
        yield f"{number}\n\n🦆 "
        if number % 3 == 0:
            await asyncio.sleep(0.002)
