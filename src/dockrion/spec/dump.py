"""The whole spec with its defaults as plain data, fit to be shown: no secret in it."""

from __future__ import annotations

from typing import Any

from dockrion.spec.dockspec import DockSpec
from dockrion.spec.fields import Kind, is_list, is_mapping
from dockrion.spec.hiding import HIDDEN
from dockrion.spec.shape import Loc, shape_at


def dump(spec: DockSpec) -> dict[str, Any]:
    """Return the spec as it stands after validation; text that a variable filled in is shown as written."""
    return {key: _plain(spec, value, (key,)) for key, value in spec.model_dump().items()}


def _plain(spec: DockSpec, value: Any, loc: Loc) -> Any:
    shape = shape_at(DockSpec, loc)
    typed = isinstance(shape, Kind) and not shape.text
    if not typed and spec.written(loc) is not None:
        return spec.written(loc)
    if isinstance(shape, Kind) and shape.secret and not (value is None or _is_variable(value)):
        return HIDDEN
    if is_mapping(value):
        return {key: _plain(spec, below, (*loc, key)) for key, below in value.items()}
    if is_list(value):
        return [_plain(spec, item, (*loc, index)) for index, item in enumerate(value)]
    return value


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${")
