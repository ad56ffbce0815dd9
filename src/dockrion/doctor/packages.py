"""Python, dockrion and the packages: what this Dockfile needs, against what is installed."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Final, NamedTuple

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

from dockrion.doctor.base import Case, Finding, error, ok, warning
from dockrion.spec import DockSpec
from dockrion.spec.extras import extras_of
from dockrion.telemetry.destinations import is_asked_for_by_variables, is_disabled
from dockrion.version import VERSION

_OURS: Final = "dockrion"
_SHOWN: Final = 5
_FRAMEWORKS: Final = frozenset({"langchain", "langgraph"})


async def look_at_python(_: Case) -> list[Finding]:
    needed = distribution(_OURS).metadata["Requires-Python"] or ""
    here = platform.python_version()
    if not SpecifierSet(needed).contains(here, prereleases=True):
        return [
            error(
                f"Python {here} is not {needed}",
                f"make a virtual environment with Python {needed}, and install dockrion there",
            )
        ]
    return [ok(f"Python {here} ({sys.executable})")]


async def look_at_dockrion(_: Case) -> list[Finding]:
    unmet = list(_unmet(_requirements_of_ours(extras=())))
    if unmet:
        return [
            error(
                f"dockrion {VERSION} lacks {_listed(unmet)}",
                "install it anew: pip install --force-reinstall dockrion",
            )
        ]
    return [ok(f"dockrion {VERSION}")]


async def look_at_packages(case: Case) -> list[Finding]:
    # Reading the metadata of many packages takes a while.
    return await asyncio.to_thread(_look_at_packages, case)


def _look_at_packages(case: Case) -> list[Finding]:
    extras = extras_used_here(case.spec)
    findings = [*_look_at_extras(extras), *_look_at_requirements(case.spec.folder)]
    if findings:
        return findings
    needed = f"dockrion[{','.join(extras)}]" if extras else "dockrion alone"
    return [ok(f"all installed that this Dockfile needs ({needed})")]


def extras_used_here(spec: DockSpec) -> list[str]:
    """Return the extras of dockrion without which the agent cannot run here, as the environment is."""
    extras = set(extras_of(spec))
    if spec.agent.entrypoint is None:
        # A handler calls its framework itself, or does not.
        extras -= _FRAMEWORKS
    if is_disabled(spec.observability):
        extras.discard("otel")
    elif is_asked_for_by_variables():
        extras.add("otel")
    return sorted(extras)


def _look_at_extras(extras: Iterable[str]) -> Iterator[Finding]:
    for extra in extras:
        unmet = list(_unmet(_requirements_of_ours(extras=(extra,))))
        if unmet:
            yield error(
                f"this Dockfile needs {_listed(unmet)}",
                f"pip install -U 'dockrion[{extra}]'",
            )


def _look_at_requirements(folder: Path) -> Iterator[Finding]:
    path = folder / "requirements.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as exc:
        yield warning(
            f"requirements.txt cannot be read: {type(exc).__name__}",
            "it is to be a text file in UTF-8 that you may read",
        )
        return
    unmet = list(_unmet(_requirements_in(lines)))
    if unmet:
        yield warning(
            f"requirements.txt asks for {_listed(unmet)}",
            f"pip install -r {path}, or dockrion run --install",
        )


def _requirements_in(lines: Iterable[str]) -> Iterator[Requirement]:
    """Yield the lines that name a package; options, paths and URLs are the installer's business."""
    for line in lines:
        try:
            requirement = Requirement(line.partition(" #")[0].partition(" --")[0].strip(" \\"))
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def _requirements_of_ours(*, extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield what dockrion itself needs, or what the extras add to that."""
    environment = {name: str(value) for name, value in default_environment().items()}
    for line in distribution(_OURS).requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        always = marker is None or marker.evaluate({**environment, "extra": ""})
        if not extras:
            if always:
                yield requirement
        elif not always and any(
            marker is not None and marker.evaluate({**environment, "extra": extra})
            for extra in extras
        ):
            yield requirement


class _Unmet(NamedTuple):
    requirement: Requirement
    installed: str | None

    def __str__(self) -> str:
        wanted = f"{self.requirement.name}{self.requirement.specifier}"
        there = "is not installed" if self.installed is None else f"is {self.installed}"
        return f"{wanted} ({there})"


def _unmet(requirements: Iterable[Requirement]) -> Iterator[_Unmet]:
    for requirement in requirements:
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield _Unmet(requirement, None)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            yield _Unmet(requirement, installed)


def _listed(unmet: list[_Unmet]) -> str:
    shown = ", ".join(map(str, unmet[:_SHOWN]))
    more = len(unmet) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
