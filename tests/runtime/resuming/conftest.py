"""A loop whose time a test can move, for windows and lifetimes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.runtime.resuming.kit import Advance


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """asyncio's own loop: the time of uvloop's stands in C."""
    return "asyncio", {"use_uvloop": False}


@pytest.fixture
async def advance(monkeypatch: pytest.MonkeyPatch) -> Advance:
    """Move the time of the loop's timers."""
    loop = asyncio.get_running_loop()
    now = loop.time
    moved = 0.0

    def move(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    monkeypatch.setattr(loop, "time", lambda: now() + moved)
    for module in ("memory", "memory_run"):
        monkeypatch.setattr(f"dockrion.runs.store.{module}.monotonic", lambda: now() + moved)
    return move
