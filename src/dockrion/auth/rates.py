"""How often a caller may call: the rates of a Dockfile, and counting against them.

Counted here and not by a library, since what is there for asyncio either has no bound on the callers it remembers (`limits`
5.8 also hops to a thread for each of them when it sweeps) or goes by the wall clock.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from time import monotonic
from typing import Final, NamedTuple, Protocol, Self

DEFAULT_ROLE: Final = "default"

_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# Calls that are closer together than so many parts of the window are one entry of it.
PARTS: Final = 128
# Of one rate; past it, whoever has not called for longest is forgotten.
MAX_CALLERS: Final = 100_000
_MAX_KEY: Final = 128


class Rate(NamedTuple):
    calls: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        count, _, unit = text.partition("/")
        return cls(int(count), _SECONDS[unit])

    @property
    def height(self) -> tuple[float, int]:
        """What rates are compared by: of two that come to the same, the one that takes the larger burst is higher."""
        return self.calls / self.seconds, self.calls


class Verdict(NamedTuple):
    """`reset_seconds` is when the oldest call that counts stops to; where the call is refused, when to try again."""

    allowed: bool
    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """Counts calls in windows that move: in no stretch of `rate.seconds` are more than `rate.calls` allowed.

    A refused call does not count. A key may be of any length. Where the counts are somewhere else and cannot be
    reached, `hit` raises `ServiceUnavailableError`; it never lets a call in for want of an answer.
    """

    async def hit(self, key: str, rate: Rate) -> Verdict: ...


class MemoryRateLimiter:
    """Counts in this process. `clock` goes in seconds, never backwards.

    What it keeps has a bound, for each caller and for all of them: a flood of addresses costs tens of megabytes.
    """

    def __init__(
        self, *, clock: Callable[[], float] = monotonic, max_callers: int = MAX_CALLERS
    ) -> None:
        self._clock = clock
        self._max_callers = max_callers
        # Of each rate its callers, who called last at the end.
        self._windows: dict[Rate, OrderedDict[str, Window]] = {}

    async def hit(self, key: str, rate: Rate) -> Verdict:
        now = self._clock()
        key = short_key(key)
        windows = self._windows.setdefault(rate, OrderedDict())
        window = windows.get(key)
        if window is None:
            window = windows[key] = Window(rate)
        windows.move_to_end(key)
        verdict = window.hit(now)
        self._forget(windows, now)
        return verdict

    def _forget(self, windows: OrderedDict[str, Window], now: float) -> None:
        while len(windows) > 1:
            key, oldest = next(iter(windows.items()))
            if len(windows) <= self._max_callers and oldest.counts_after(now):
                return
            del windows[key]


def short_key(key: str) -> str:
    """Return the key, or what stands for it where it is long."""
    if len(key) <= _MAX_KEY:
        return key
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class Window:
    """The calls of one caller that count, as `[when the last of them came, how many]`.

    Of large counts, neighbours are put together and count until the last of them is too old: that can refuse a call
    for a hundredth of the window too long, never allow one too many.
    """

    __slots__ = ("_calls", "_grain", "_opened", "_rate", "_total")

    def __init__(
        self, rate: Rate, calls: Iterable[list[float]] = (), *, opened: float = 0.0
    ) -> None:
        self._rate = rate
        self._grain = rate.seconds / PARTS if rate.calls > PARTS else 0.0
        self._calls = deque(calls)
        self._total = sum(int(count) for _, count in self._calls)
        # When the first call of the last entry came.
        self._opened = opened

    @property
    def calls(self) -> list[list[float]]:
        """With `opened`, all that has to be kept to go on counting somewhere else."""
        return list(self._calls)

    @property
    def opened(self) -> float:
        return self._opened

    @property
    def counted_at(self) -> float:
        """When the last call that counts came."""
        return self._calls[-1][0] if self._calls else 0.0

    def hit(self, now: float) -> Verdict:
        calls, rate = self._calls, self._rate
        while calls and now - calls[0][0] >= rate.seconds:
            self._total -= int(calls.popleft()[1])
        allowed = self._total < rate.calls
        if allowed:
            self._add(now)
        reset = calls[0][0] + rate.seconds - now
        return Verdict(allowed, rate.calls - self._total, max(1, ceil(reset)))

    def _add(self, now: float) -> None:
        self._total += 1
        if self._calls and now - self._opened < self._grain:
            last = self._calls[-1]
            last[0] = now
            last[1] += 1
        else:
            self._opened = now
            self._calls.append([now, 1])

    def counts_after(self, now: float) -> bool:
        return bool(self._calls) and now - self._calls[-1][0] < self._rate.seconds


class RateTable:
    """The rates of the Dockfile by role."""

    def __init__(self, rates: Mapping[str, str]) -> None:
        self._rates = {role: Rate.parse(text) for role, text in rates.items()}

    def of(self, roles: Iterable[str]) -> Rate | None:
        """Return the highest rate of the roles, or that of `default` when none of them has one."""
        found = [self._rates[role] for role in roles if role in self._rates]
        if not found:
            return self._rates.get(DEFAULT_ROLE)
        return max(found, key=lambda rate: rate.height)
