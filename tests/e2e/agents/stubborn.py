"""An agent that does not let itself be cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, NoReturn


async def handle(payload: dict[str, Any]) -> NoReturn:
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(60)
