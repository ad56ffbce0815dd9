"""Cutting an output to a size: JSON stays valid, the longest strings are shortened first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from dockrion.events.jsonable import encode, encode_text


def cut_to_bytes(output: Any, limit: int) -> tuple[Any, bool]:
    """Return `output` (made by `plain`, so not too deep) in at most `limit` bytes of JSON, and whether it fits.

    String values are shortened, longest first, down to one common length. It does not fit when even without
    any text in its strings it is larger; then it comes back as it was.
    """
    lengths = [len(encode_text(text)) - 2 for text in _strings(output)]
    budget = limit - (len(encode(output)) - sum(lengths))
    if budget < 0:
        return output, False
    return _shortened(output, _common_length(lengths, budget), _cut_bytes), True


def cut_to_chars(output: Any, limit: int) -> tuple[Any, bool]:
    """Return `output` with at most `limit` code points in all its string values, and whether it was cut.

    They are shortened, longest first, down to one common length; keys are no values.
    """
    lengths = [len(text) for text in _strings(output)]
    if sum(lengths) <= limit:
        return output, False
    return _shortened(output, _common_length(lengths, limit), _cut_chars), True


def cut_text_to_bytes(text: str, limit: int) -> str:
    """Return the longest prefix of `text` that takes at most `limit` bytes in a JSON string."""
    return _cut_bytes(text, limit)


def _common_length(lengths: list[int], budget: int) -> int:
    """Return the largest length with `sum(min(n, length)) <= budget`."""
    if sum(lengths) <= budget:
        return max(lengths, default=0)
    remaining = budget
    ordered = sorted(lengths)
    for position, length in enumerate(ordered):
        share = remaining // (len(ordered) - position)
        if length > share:
            return share
        remaining -= length
    return ordered[-1]


def _cut_bytes(text: str, limit: int) -> str:
    if len(encode_text(text)) - 2 <= limit:
        return text
    # Each character takes a byte at least, and no more in most text.
    low, high = 0, min(len(text), max(limit, 0))
    if len(encode_text(text[:high])) - 2 <= limit:
        return text[:high]
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode_text(text[:middle])) - 2 <= limit:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _cut_chars(text: str, limit: int) -> str:
    return text[:limit]


def _strings(value: Any) -> list[str]:
    found: list[str] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, list):
            pending.extend(cast("list[Any]", item))
        elif isinstance(item, dict):
            pending.extend(cast("dict[str, Any]", item).values())
    return found


def _shortened(value: Any, length: int, cut: Callable[[str, int], str]) -> Any:
    if isinstance(value, str):
        return cut(value, length)
    if isinstance(value, list):
        return [_shortened(item, length, cut) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {key: _shortened(item, length, cut) for key, item in items.items()}
    return value
