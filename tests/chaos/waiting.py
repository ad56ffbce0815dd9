"""Waiting for what must come to be true, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SECONDS = 20.0


def until(look: Callable[[], T], what: str, *, seconds: float = SECONDS) -> T:
    """Look again and again until it is true; return it, or fail with what it was last."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s, but {found!r}"
        time.sleep(0.01)
    return found
