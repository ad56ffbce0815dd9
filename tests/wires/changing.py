"""Requests that are good but for one place, which has anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def changed(draw: st.DrawFn, bodies: Sequence[Any], *, marked: str | None = None) -> Any:
    """Draw one of the bodies, with another value somewhere in it; one of them is `marked`, where that is given."""
    body = draw(st.sampled_from(bodies))
    others = VALUES if marked is None else VALUES | st.just(marked)
    return _with(body, draw(st.sampled_from(_places(body))), draw(others))


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at]
    for key, child in children:
        inner = (*at, key)
        found += _places(child, inner) if isinstance(child, dict | list) else [inner]
    return found


def _with(value: Any, at: tuple[Any, ...], other: Any) -> Any:
    if not at:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = _with(copy[at[0]], at[1:], other)
    return copy
