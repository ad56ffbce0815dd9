"""Agents of these tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from dockrion.events.context import StreamContext


async def count(payload: Any) -> AsyncGenerator[str]:
    for number in range(payload.get("tokens", 3)):
        yield f"t{number} "


async def ask(payload: Any, context: StreamContext) -> Any:
    yield "Well. "
    answer = await context.ask("Really?")
    yield f"You said {answer}."


class Gated:
    """Emits a token, then waits to be opened; tells how it left: `stopped`, or `returned`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.left: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, payload: Any) -> AsyncGenerator[str]:
        try:
            yield "first"
            await self.open.wait()
            yield "second"
        except (asyncio.CancelledError, GeneratorExit):
            self.left.put_nowait("stopped")
            raise
        self.left.put_nowait("returned")
