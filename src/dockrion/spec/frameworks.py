"""The names that `agent.framework` may hold; what serves them is none of the Dockfile's business."""

from __future__ import annotations

from typing import Final

BUILTIN: Final = ("custom", "langchain", "langgraph")

_declared: Final[set[str]] = set()


def declare_framework(name: str) -> None:
    """Make `agent.framework: <name>` valid in this process; who registers an adapter calls this."""
    _declared.add(name)


def known_frameworks() -> list[str]:
    """Built-in names, declared ones, and those of installed packages, which are not imported."""
    # Only a name that is none of ours needs it, and it is slow to import.
    from importlib.metadata import entry_points

    installed = {point.name for point in entry_points(group="dockrion.adapters")}
    return sorted({*BUILTIN, *_declared, *installed})


def complaint_about_framework(name: str) -> str | None:
    # Looking through the installed packages takes tens of milliseconds, so it comes last.
    if name in BUILTIN or name in _declared:
        return None
    known = known_frameworks()
    if name in known:
        return None
    return f"must be one of {', '.join(known)} (or the name of an adapter that is installed)"
