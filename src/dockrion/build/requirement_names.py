"""What one requirement asks for: the package, its extras, its versions, and where it comes from."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import Version

_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz")
_SCHEME: Final = re.compile(r"(?:[a-z][a-z0-9.-]*\+)?[a-z][a-z0-9.-]+:", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
_EXTRAS: Final = re.compile(r"(.*?)\s*(\[[^\[\]]*\])?\s*")
_NAMED: Final = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\[\]]*\])?")
# uv knows this variable by itself: the folder that it is started in.
_PROJECT_ROOT: Final = "${PROJECT_ROOT}"


class LocalPath(NamedTuple):
    """A normal path, not resolved; `is_absolute` is how it was written."""

    path: Path
    is_absolute: bool


@dataclass(frozen=True)
class Wanted:
    """`name` is None where only the package itself could tell it.

    `source` is the URL, or the path, of one that comes from neither an index nor a folder of archives. One that
    `is_local` has a path, unless only a variable's value could tell it.
    """

    name: str | None
    extras: frozenset[str] = frozenset()
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    marker: Marker | None = None
    source: str | None = None
    is_local: bool = False
    path: LocalPath | None = None

    def applies(self, environment: dict[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate(environment)


def parse_wanted(text: str, folder: Path) -> Wanted | str:
    """Return what the requirement asks for, or what is wrong with it; paths are taken from the folder."""
    try:
        return _parse(text, folder)
    except ValueError as exc:  # of a URL, such as one with half an IPv6 address
        return str(exc)


def _parse(text: str, folder: Path) -> Wanted | str:
    if _SCHEME.match(text):
        return _from_place(text, folder, name=None, is_url=True)
    if _looks_like_path(text):
        return _from_place(text, folder, name=None, is_url=False)
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        # pip fills variables in before it reads the line.
        named = _NAMED.match(text) if _VARIABLE.search(text) else None
        if named is not None:
            return Wanted(canonicalize_name(named[1]), _extras(named[2]))
        return Wanted(None) if _VARIABLE.match(text) else str(exc).splitlines()[0]
    name = canonicalize_name(requirement.name)
    extras = frozenset(canonicalize_name(extra) for extra in requirement.extras)
    if requirement.url is None:
        return Wanted(name, extras, requirement.specifier, requirement.marker)
    is_url = _SCHEME.match(requirement.url) is not None
    placed = _from_place(requirement.url, folder, name=name, is_url=is_url)
    if isinstance(placed, str):
        return placed
    return replace(placed, name=name, extras=extras, marker=requirement.marker)


def local_path(value: str, folder: Path, *, root: Path) -> LocalPath | None:
    """Return the path that a value means; None where only a variable's value could tell.

    `root` is the folder that the installer is started in.
    """
    below_root = _PROJECT_ROOT in value
    value = value.replace(_PROJECT_ROOT, str(root.absolute()))
    if _VARIABLE.search(value):
        return None
    if value.lower().startswith("file:"):
        value = unquote(value[len("file:") :].partition("#")[0])
        # Also what `file://${PROJECT_ROOT}` and `file:///${PROJECT_ROOT}` become.
        value = re.sub("^//(localhost(?=/))?/*", "/", value)
    path = Path(os.path.normpath(folder.absolute() / value))
    return LocalPath(path, value.startswith("/") and not below_root)


def without_password(text: str) -> str:
    """Return a requirement as a message may show it."""
    return re.sub(r"(://)[^/@\s]+@", r"\1***@", text)


def _looks_like_path(text: str) -> bool:
    path = text.split(";")[0]
    if "@" in path and not path.startswith((".", "/")):
        return False
    bare = _EXTRAS.fullmatch(path.strip())
    assert bare is not None, "it matches every line"
    return path.startswith(".") or "/" in path or bare[1].endswith(_ARCHIVES)


def _from_place(text: str, folder: Path, *, name: str | None, is_url: bool) -> Wanted | str:
    # Of a URL a semicolon may be a part.
    place, _, condition = text.partition("; " if is_url else ";")
    try:
        marker = Marker(condition) if condition.strip() else None
    except InvalidMarker as exc:
        return str(exc).splitlines()[0]
    egg: str | None = None
    extras: frozenset[str] = frozenset()
    if is_url:
        place, _, fragment = place.strip().partition("#")
        named = [part for part in fragment.split("&") if part.startswith("egg=")]
        egg = named[0].removeprefix("egg=") if named else None
    if name is None:
        split = _EXTRAS.fullmatch(place)
        assert split is not None, "it matches every line"
        place, extras = split[1], _extras(split[2])
    is_local = not is_url or place.lower().startswith("file:")
    local = local_path(place, folder, root=folder) if is_local else None
    path = None if local is None else local.path
    found, version, more = _told(place, path, egg)
    return Wanted(
        name or found,
        extras | more,
        SpecifierSet() if version is None else SpecifierSet(f"=={version}"),
        marker,
        place if path is None else str(path),
        is_local,
        local,
    )


def _told(
    place: str, path: Path | None, egg: str | None
) -> tuple[str | None, Version | None, frozenset[str]]:
    """Return name, version and extras as far as a URL or a path tells them."""
    if egg is not None and (named := _NAMED.match(unquote(egg))):
        return canonicalize_name(named[1]), None, _extras(named[2])
    last = unquote(urlsplit(place).path if path is None else str(path)).rstrip("/").split("/")[-1]
    try:
        if last.endswith(".whl"):
            name, version, *_ = parse_wheel_filename(last)
            return name, version, frozenset()
        if last.endswith((".tar.gz", ".zip")):
            name, version = parse_sdist_filename(last)
            return name, version, frozenset()
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None, None, frozenset()
    if path is not None:
        return _name_of_project(path), None, frozenset()
    # A repository is most often named as its package is: `git+https://host/owner/package.git@v1`.
    named = _NAMED.fullmatch(last.split("@")[0].removesuffix(".git"))
    return (canonicalize_name(named[1]) if named else None), None, frozenset()


def _name_of_project(folder: Path) -> str | None:
    try:
        project: Any = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("project")
    except (OSError, ValueError):
        return None
    name: Any = project.get("name") if isinstance(project, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return canonicalize_name(name) if isinstance(name, str) else None


def _extras(brackets: str | None) -> frozenset[str]:
    names = (brackets or "").strip("[]").split(",")
    return frozenset(canonicalize_name(name.strip()) for name in names if name.strip())
