"""An agent that says nothing for a while between two tokens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def handle(payload: dict[str, float]) -> AsyncIterator[str]:
    yield "before"
    await asyncio.sleep(payload["silent_seconds"])
    yield "after"
