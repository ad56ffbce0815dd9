"""An agent that takes its time: so many tokens, one every `seconds`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def handle(payload: dict[str, Any]) -> AsyncIterator[str]:
    for number in range(payload["tokens"]):
        yield f"{number} "
        await asyncio.sleep(payload["seconds"])


async def greet(payload: dict[str, str]) -> AsyncIterator[str]:
    yield f"Hello, {payload['name']}"
