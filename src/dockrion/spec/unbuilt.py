"""What a Dockfile may say already and the runtime does not carry yet: one row each, gone when it does."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from dockrion.spec.fields import is_list

if TYPE_CHECKING:
    from dockrion.spec.dockspec import DockSpec


class Row(NamedTuple):
    """A field; with `values`, only these of it (of a list: these items); with `when`, only such values.

    The file switches it on by naming it, or by naming `section`, whose default it is.
    """

    path: str
    values: tuple[Any, ...] = ()
    when: Callable[[Any], bool] | None = None
    section: str | None = None


ROWS: tuple[Row, ...] = ()


def unbuilt_features(spec: DockSpec) -> list[str]:
    """Return a line for each; only what the file itself says counts, never a default."""
    return [line for row in ROWS for line in _lines(row, spec)]


def _lines(row: Row, spec: DockSpec) -> list[str]:
    if not _names(spec, row.section or row.path):
        return []
    value: Any = attrgetter(row.path)(spec)
    if row.when is not None and not row.when(value):
        return []
    if not row.values:
        return [f"{row.path} is not available in this release"]
    items: list[Any] = list(value) if is_list(value) else [value]
    return [
        f"{row.path}: {_as_yaml(item)} is not available in this release"
        for item in row.values
        if item in items
    ]


def _names(spec: DockSpec, path: str) -> bool:
    """Return whether the file names the field, be it with the value of its default."""
    value: Any = spec
    for part in path.split("."):
        if not isinstance(value, BaseModel) or part not in value.model_fields_set:
            return False
        value = getattr(value, part)
    return value is not None


def _as_yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
