"""The Dockfile seen as a tree of sections, lists, mappings and kinds: what may stand at a path."""

from __future__ import annotations

import types
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias, Union, get_args, get_origin

from dockrion.spec.fields import Kind
from dockrion.spec.section import Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Loc: TypeAlias = tuple[str | int, ...]


class ListOf(NamedTuple):
    item: Shape


class MapOf(NamedTuple):
    value: Shape


Shape: TypeAlias = "type[Section] | ListOf | MapOf | Kind | None"
"""None: the user's own data, or nothing that is known."""


def shape_at(root: Shape, loc: Loc) -> Shape:
    shape = root
    for part in loc:
        match shape, part:
            case type(), str():
                shape = fields_of(shape).get(part)
            case ListOf(item), int():
                shape = item
            case MapOf(value), str():
                shape = value
            case _:
                return None
    return shape


@cache
def fields_of(section: type[Section]) -> Mapping[str, Shape]:
    return {
        name: _shape(field.annotation, field.metadata)
        for name, field in section.model_fields.items()
    }


def _shape(annotation: Any, metadata: Sequence[Any] = ()) -> Shape:
    kind = next((item for item in metadata if isinstance(item, Kind)), None)
    if kind is not None:
        return kind
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _shape(args[0], args[1:])
    if origin in (Union, types.UnionType):
        return next(_shape(arg) for arg in args if arg is not type(None))
    if origin is tuple:
        return ListOf(_shape(args[0]))
    if origin is dict:
        return MapOf(_shape(args[1]))
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return None
