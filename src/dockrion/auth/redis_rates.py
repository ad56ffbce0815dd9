"""Counting calls in Redis: over all replicas."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Final

from dockrion.auth.rates import PARTS, Rate, Verdict
from dockrion.backends.redis import RedisConnections, Script

_SCRIPT: Final = Script((files("dockrion.auth") / "lua" / "rates.lua").read_text("utf-8"))


class RedisRateLimiter:
    """Counts as `MemoryRateLimiter` does, by the time of the server, unless a `clock` is given.

    A caller's count is there for one window after its last call, so a flood of addresses takes as much as comes in
    one window.
    """

    def __init__(
        self, backend: RedisConnections, *, prefix: str, clock: Callable[[], float] | None = None
    ) -> None:
        self._backend = backend
        self._prefix = f"{prefix}rates:"
        self._clock = clock

    async def hit(self, key: str, rate: Rate) -> Verdict:
        hashed = sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        now = "" if self._clock is None else self._clock()
        allowed, remaining, reset = await self._backend.run(
            _SCRIPT,
            (f"{self._prefix}{rate.calls}:{rate.seconds}:{hashed}",),
            (rate.calls, rate.seconds, now, PARTS),
        )
        return Verdict(bool(allowed), remaining, reset)
