"""Single values of the Dockfile, checked before there is a whole one to check."""

from __future__ import annotations

from typing import Any

from dockrion.spec.dockspec import DockSpec
from dockrion.spec.fields import Kind
from dockrion.spec.shape import Loc, shape_at


def complaint_about(loc: Loc, value: Any) -> str | None:
    """Return what is wrong with a value at a place of the Dockfile, in words that follow its name."""
    kind = shape_at(DockSpec, loc)
    assert isinstance(kind, Kind), f"{loc} is a field"
    return kind.complain(value)
