"""An agent that says so many tokens a second, some of them Markdown."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def handle(payload: dict[str, Any]) -> AsyncIterator[str]:
    started = time.monotonic()
    for number in range(payload["count"]):
        if number % 200 == 150:
            yield "\n\n- an item, **bold** and `code`\n\n"
        else:
            yield "end.\n\n" if number % 40 == 39 else f"word{number} "
        early = started + number / payload["rate"] - time.monotonic()
        if early > 0.002:
            await asyncio.sleep(early)
