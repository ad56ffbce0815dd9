"""Which of the agent's requirements cannot be met together, or beside what dockrion itself needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from packaging.markers import default_environment
from packaging.specifiers import Specifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from dockrion.build.own_requirements import needed_by
from dockrion.build.requirement_lines import Listed
from dockrion.errors import BuildConflictError
from dockrion.version import VERSION

# What images are: Debian with Python 3.12, on either kind of machine.
_IMAGE: Final = {
    **{name: str(value) for name, value in default_environment().items()},
    "extra": "",
    "implementation_name": "cpython",
    "implementation_version": "3.12.12",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.12.12",
    "python_version": "3.12",
    "sys_platform": "linux",
}
ENVIRONMENTS: Final = tuple(
    {**_IMAGE, "platform_machine": machine} for machine in ("x86_64", "aarch64")
)
_HIGH: Final = 99999


@dataclass(frozen=True)
class _Demand:
    """What one side says of a package; `source` is the URL or path of one that no index is asked for."""

    name: str
    told: str
    specifier: SpecifierSet
    source: str | None = None


def refuse_conflicts(listed: Sequence[Listed], extras: Iterable[str]) -> None:
    """Raise `BuildConflictError` with one line for each package that no version is left of."""
    found = [
        line
        for environment in ENVIRONMENTS
        for line in _conflicts(_demands(listed, extras, environment))
    ]
    if not found:
        return
    conflicts = list(dict.fromkeys(found))
    error = BuildConflictError("\n".join(conflicts), conflicts=conflicts)
    error.add_note(
        "change one of the two; where dockrion is one, your line may go: it brings what it needs"
    )
    raise error


def _demands(
    listed: Sequence[Listed], extras: Iterable[str], environment: dict[str, str]
) -> Iterator[_Demand]:
    applying = [one for one in listed if one.wanted.applies(environment)]
    for one in applying:
        wanted, told = one.wanted, f"{one.place} has `{one.shown}`"
        if wanted.name is not None:
            yield _Demand(wanted.name, told, wanted.specifier, wanted.source)
    own = [one.wanted for one in applying if one.wanted.name == "dockrion"]
    yield _Demand("dockrion", f"this is dockrion {VERSION}", SpecifierSet(f"=={VERSION}"))
    if any(wanted.source is not None and not wanted.specifier for wanted in own):
        return  # what that one needs, it says itself
    for extra in ("", *sorted({*extras, *(extra for wanted in own for extra in wanted.extras)})):
        dockrion = f"dockrion[{extra}]" if extra else "dockrion"
        for name, specifier in needed_by(extra, environment):
            yield _Demand(name, f"{dockrion} {VERSION} needs {name}{specifier}", specifier)


def _conflicts(demands: Iterable[_Demand]) -> Iterator[str]:
    by_name: dict[str, list[_Demand]] = {}
    for demand in demands:
        by_name.setdefault(demand.name, []).append(demand)
    for name, of_package in by_name.items():
        words = _conflict(of_package)
        if words is not None:
            yield f"{name}: {words}"


def _conflict(demands: Sequence[_Demand]) -> str | None:
    for demand in demands:
        if not can_be_met([demand.specifier]):
            return f"{demand.told}, which no version is"
    for first, second in combinations(demands, 2):
        if _differ(first.source, second.source) or not can_be_met(
            [first.specifier, second.specifier]
        ):
            return f"{first.told}, but {second.told}"
    if len(demands) < 3 or can_be_met([demand.specifier for demand in demands]):
        return None
    return "no version is left: " + ", ".join(demand.told for demand in demands)


def _differ(first: str | None, second: str | None) -> bool:
    return first is not None and second is not None and first != second


def can_be_met(specifiers: Iterable[SpecifierSet]) -> bool:
    """Return whether there can be a version that all of them allow, whichever versions have been released."""
    all_of_them = [one for specifier in specifiers for one in specifier]
    # Most have but one, which nothing but `<0` makes impossible.
    if len(all_of_them) < 2 and all(one.operator != "<" for one in all_of_them):
        return True
    exact = [one.version for one in all_of_them if one.operator == "==="]
    # Between two versions there is always a third, so it is enough to look at and beside those that are named.
    candidates = exact or ["0", f"{_HIGH}", *_near(all_of_them)]
    return any(all(_allows(one, version) for one in all_of_them) for version in candidates)


def _near(specifiers: Iterable[Specifier]) -> Iterator[str]:
    for specifier in specifiers:
        named = Version(specifier.version.removesuffix(".*"))
        epoch, release = f"{named.epoch}!", list(named.release)
        base = epoch + ".".join(map(str, release))
        yield from (str(named), base, f"{base}.0.1", f"{base}.post1", f"{base}.dev1")
        # The last one of each series that it belongs to: of 1.4.2, of 1.4, of 1, and of all.
        for length in range(len(release) + 1):
            yield epoch + ".".join(map(str, [*release[:length], _HIGH]))
        yield from (f"{base}rc{_HIGH}", f"{base}.post{_HIGH}")
        while release and not release[-1]:
            release.pop()
        if release:
            below = [*release[:-1], release[-1] - 1, _HIGH]
            yield epoch + ".".join(map(str, below))


def _allows(specifier: Specifier, version: str) -> bool:
    if specifier.operator == "===":
        return specifier.version.lower() == version.lower()
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
