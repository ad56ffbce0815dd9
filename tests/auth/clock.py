"""Clocks that the tests set."""

from __future__ import annotations


class Clock:
    """Seconds since no moment in particular, as `time.monotonic` has them."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
