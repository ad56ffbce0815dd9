"""What a run has taken: time, without that in which it waited for answers, and what its models count."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from dockrion.telemetry.base import Usage


class Measures:
    """On the event loop's thread, but for `begin`."""

    __slots__ = ("_started_at", "_usage", "_waits_since")

    def __init__(self) -> None:
        self._started_at = perf_counter()
        self._waits_since = 0.0
        self._usage: Usage | None = None

    def begin(self) -> None:
        """From now on its time counts."""
        self._started_at = perf_counter()

    def wait(self) -> None:
        self._waits_since = perf_counter()

    def go_on(self) -> None:
        # Waiting is no run time.
        self._started_at += perf_counter() - self._waits_since

    def used(self, usage: Usage) -> None:
        self._usage = usage if self._usage is None else self._usage + usage

    def metadata(self) -> dict[str, Any]:
        """Return what is said of it, as of now."""
        seconds = round(perf_counter() - self._started_at, 6)
        usage = self._usage
        if usage is None:
            return {"latency_seconds": seconds}
        counts = {"input_tokens": usage.input, "output_tokens": usage.output}
        return {"latency_seconds": seconds, "usage": counts}
