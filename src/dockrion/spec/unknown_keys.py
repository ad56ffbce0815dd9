"""Keys that the Dockfile's sections do not know: kept, and each warned of with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from dockrion.spec.fields import is_list, is_mapping
from dockrion.spec.shape import ListOf, Loc, Shape, fields_of


class UnknownKey(NamedTuple):
    loc: Loc
    message: str


def unknown_keys(shape: Shape, data: Any, loc: Loc = ()) -> Iterator[UnknownKey]:
    if isinstance(shape, type) and is_mapping(data):
        fields = fields_of(shape)
        for key, value in data.items():
            if key in fields:
                yield from unknown_keys(fields[key], value, (*loc, key))
            else:
                yield UnknownKey((*loc, str(key)), _suggestion(str(key), list(fields)))
    elif isinstance(shape, ListOf) and is_list(data):
        for index, item in enumerate(data):
            yield from unknown_keys(shape.item, item, (*loc, index))


def _suggestion(key: str, known: list[str]) -> str:
    lowered = key.lower().replace("-", "_")
    near = get_close_matches(lowered, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"unknown key; known here: {', '.join(known)}"
