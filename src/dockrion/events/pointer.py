"""JSON Pointers (RFC 6901): where in a document something stands."""

from __future__ import annotations

from collections.abc import Iterable


def pointer_to(path: Iterable[object]) -> str:
    """Return the pointer to what the keys and positions lead to; "" is the whole document."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
