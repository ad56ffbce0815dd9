"""Fixtures of the runtime's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the time of the loop's timers; for asyncio's own loop."""
    loop = asyncio.get_running_loop()
    now = loop.time
    moved = 0.0

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    monkeypatch.setattr(loop, "time", lambda: now() + moved)
    return move
