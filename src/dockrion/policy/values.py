"""Redaction of plain JSON data: its strings, its keys, and numbers whose digits are a match."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, cast

from dockrion.policy.redaction import REDACTED

Redact = Callable[[str], str]

# Milliseconds of redaction, with some rules.
LARGE_CHARS: Final = 16_384
# What a value costs beside its characters, in characters.
_EACH: Final = 16


def redact_value(value: Any, redact: Redact) -> Any:
    """Return `value`, made by `plain`, with every match replaced; the very object where there is none.

    Strings and keys are redacted whole, one by one. Keys that become the same are told apart by a number.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return _redact_items(cast("dict[str, Any]", value), redact)
    if isinstance(value, list):
        items = cast("list[Any]", value)
        redacted = [redact_value(item, redact) for item in items]
        return redacted if any(map(_differs, items, redacted)) else items
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return redact_number(value, redact)


def redact_number(number: float, redact: Redact) -> Any:
    """Return the number, or `[REDACTED]` where the way it is written, with or without exponent, holds a match."""
    try:
        forms = {repr(number)}
    except ValueError:  # so many digits that Python writes none of them
        return REDACTED
    if isinstance(number, float) and math.isfinite(number):
        forms.add(f"{number:.0f}")
    return number if all(redact(form) is form for form in forms) else REDACTED


def _redact_items(items: dict[str, Any], redact: Redact) -> dict[str, Any]:
    redacted: dict[str, Any] = {}
    changed = False
    for key, item in items.items():
        new_key, new_item = redact(key), redact_value(item, redact)
        if new_key is not key:
            new_key = _free(new_key, redacted, items)
        changed = changed or new_key is not key or new_item is not item
        redacted[new_key] = new_item
    return redacted if changed else items


def _free(key: str, taken: dict[str, Any], given: dict[str, Any]) -> str:
    free, number = key, 1
    while free in taken or free in given:
        number += 1
        free = f"{key} {number}"
    return free


def _differs(before: object, after: object) -> bool:
    return before is not after


def is_large(value: Any) -> bool:
    """Tell, of what an agent returned, whether redacting it takes more than some milliseconds."""
    room = LARGE_CHARS
    pending = [value]
    while pending and room >= 0:
        item = pending.pop()
        room -= _EACH
        if isinstance(item, str | bytes | bytearray):
            room -= len(item)
        elif isinstance(item, Mapping):
            items = cast("Mapping[Any, Any]", item)
            if len(items) * _EACH > room:
                return True
            pending += [*items.keys(), *items.values()]
        elif isinstance(item, list | tuple | set | frozenset):
            members = cast("Collection[Any]", item)
            if len(members) * _EACH > room:
                return True
            pending += members
        elif isinstance(fields := getattr(item, "__dict__", None), dict):
            # A model, or a message.
            pending.append(fields)
    return room < 0
