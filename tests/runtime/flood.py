"""An agent that speaks as fast as it is let, and how far it has come."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any


class Flood:
    def __init__(self, tokens: int) -> None:
        self.made = 0
        self._tokens = tokens

    async def agent(self, payload: Any) -> AsyncGenerator[str]:
        for number in range(self._tokens):
            self.made += 1
            yield str(number)
