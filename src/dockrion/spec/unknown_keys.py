"""Keys that the Dockfile's sections do not know: kept, and each warned of with the nearest known one."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from dockrion.spec.shape import ListOf, Loc, MapOf, Shape, fields_of


class UnknownKey(NamedTuple):
    loc: Loc
    message: str


def unknown_keys(shape: Shape, data: Any, loc: Loc = ()) -> Iterator[UnknownKey]:
    match shape, data:
        case type(), dict():
            fields = fields_of(shape)
            for key, value in data.items():  # pyright: ignore[reportUnknownVariableType]
                if key in fields:
                    yield from unknown_keys(fields[key], value, (*loc, key))
                else:
                    yield UnknownKey((*loc, str(key)), _suggestion(str(key), list(fields)))  # pyright: ignore[reportUnknownArgumentType]
        case ListOf(item), list() | tuple():
            for index, value in enumerate(data):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
                yield from unknown_keys(item, value, (*loc, index))
        case MapOf(below), dict():
            for key, value in data.items():  # pyright: ignore[reportUnknownVariableType]
                yield from unknown_keys(below, value, (*loc, key))
        case _:
            return


def _suggestion(key: str, known: list[str]) -> str:
    lowered = key.lower().replace("-", "_")
    near = get_close_matches(lowered, known, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]}?"
    return f"unknown key; known here: {', '.join(known)}"
