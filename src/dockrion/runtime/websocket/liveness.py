"""Whether there is still somebody at the other end of a connection. No I/O."""

from __future__ import annotations


class Liveness:
    """Whoever says something, or takes something of what waits for it, is there; who does neither for `seconds` is gone.

    Times are those of the loop. A connection on which nothing waits to leave says nothing of its caller.
    """

    __slots__ = ("_alive_at", "_heard", "_seconds", "_taken", "_written")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._alive_at = 0.0
        self._heard = False
        self._written = 0
        self._taken: int = 0

    def begin(self, now: float) -> None:
        self._alive_at = now

    def heard(self) -> None:
        self._heard = True

    def wrote(self, size: int) -> None:
        self._written += size

    def is_gone(self, now: float, *, unsent: int) -> bool:
        """To be asked from time to time; `unsent` of the bytes written have not left."""
        taken = self._written - unsent
        if self._heard or not unsent or taken != self._taken:
            self._alive_at = now
        self._heard, self._taken = False, taken
        return now - self._alive_at > self._seconds
