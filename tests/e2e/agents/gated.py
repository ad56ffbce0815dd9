"""An agent that says a few words, and ends once there is a file named `go`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def handle(payload: Any) -> AsyncIterator[str]:
    for number in range(20):
        yield f"{number} "
    while not await asyncio.to_thread(Path("go").exists):
        await asyncio.sleep(0.02)
