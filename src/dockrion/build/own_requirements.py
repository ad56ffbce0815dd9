"""What dockrion itself needs, extra by extra, as its installed metadata tells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import requires
from typing import NamedTuple

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name


class Needed(NamedTuple):
    name: str
    specifier: SpecifierSet


def needed_by(extra: str, environment: Mapping[str, str]) -> list[Needed]:
    """Return the packages that an extra brings; the extra "" is dockrion alone."""
    return [
        Needed(canonicalize_name(requirement.name), requirement.specifier)
        for requirement in _requirements()
        if _holds(requirement.marker, environment, extra)
        and (not extra or not _holds(requirement.marker, environment, ""))
    ]


def not_covered(
    needed: Iterable[str], listed: frozenset[str], environment: Mapping[str, str]
) -> list[str]:
    """Return those of the needed extras that bring a package which the listed ones do not; `all` brings each."""
    brought = {one.name for extra in listed for one in needed_by(extra, environment)}
    return [
        extra
        for extra in needed
        if extra not in listed
        and any(one.name not in brought for one in needed_by(extra, environment))
    ]


@cache
def _requirements() -> list[Requirement]:
    return [Requirement(line) for line in requires("dockrion") or ()]


def _holds(marker: Marker | None, environment: Mapping[str, str], extra: str) -> bool:
    return marker is None or marker.evaluate({**environment, "extra": extra})
