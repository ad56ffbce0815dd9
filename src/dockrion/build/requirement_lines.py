"""Reading requirements files as pip does: their lines, what each one asks for, and the files that they name.

Nothing is changed and nothing is fetched. https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from dockrion.build.requirement_names import (
    LocalPath,
    Wanted,
    local_path,
    parse_wanted,
    without_password,
)
from dockrion.errors import DeploymentError

Purpose = Literal["requirement", "constraint"]

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# What takes a value and names a file or a package; the other options stay out of our way.
_OPTIONS: Final = {
    "-r": "-r",
    "--requirement": "-r",
    "-c": "-c",
    "--constraint": "-c",
    "-e": "-e",
    "--editable": "-e",
    "-f": "-f",
    "--find-links": "-f",
}


@dataclass(frozen=True)
class Place:
    """Where a line begins, as messages show it."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(frozen=True)
class Listed:
    """One package that a line asks for, or holds to a version."""

    place: Place
    shown: str
    wanted: Wanted
    is_constraint: bool


@dataclass(frozen=True)
class LocalTarget:
    """A file or folder that a line names; `where` is None where only a variable's value could tell."""

    place: Place
    written: str
    where: LocalPath | None


@dataclass
class Requirements:
    """What a requirements file and all that it includes ask for, in the order in which pip reads them.

    `hashed` is the first line with a `--hash`, `hashes_required` the first `--require-hashes`.
    """

    listed: list[Listed] = field(default_factory=list[Listed])
    targets: list[LocalTarget] = field(default_factory=list[LocalTarget])
    hashed: Place | None = None
    hashes_required: Place | None = None


def read_requirements(path: Path) -> Requirements:
    """Read the file and what it includes; raise `DeploymentError` for what no installer could read.

    As with pip and uv, includes are taken from the folder of the file that names them, packages on this machine
    from the folder that the installer is started in: the one of the first file.
    """
    found = Requirements()
    _Reading(path.parent, found).read(path, "requirement")
    return found


def text_of(path: Path, shown: str) -> str:
    """Return the file as it stands, line ends included, but for a byte order mark."""
    try:
        # Not read_text(), which would make one kind of line end of all.
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DeploymentError(f"{shown} is not UTF-8: byte {exc.start}") from exc
    except OSError as exc:
        raise DeploymentError(f"{shown} cannot be read: {exc.strerror}") from exc


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what is left of the lines when they are joined and their comments are gone, and where each begins."""
    begun: list[str] = []
    first = 1
    for number, line in enumerate(text.splitlines(), 1):
        if not begun:
            first = number
        is_comment = _COMMENT.match(line) is not None
        if line.endswith("\\") and not is_comment:
            begun.append(line.strip("\\"))
            continue
        # A comment ends what goes on over lines.
        begun.append(f" {line}" if is_comment else line)
        yield first, "".join(begun)
        begun = []
    if begun:
        yield first, "".join(begun)


class _Reading:
    def __init__(self, folder: Path, found: Requirements) -> None:
        self._folder = folder
        self._found = found
        self._seen: set[tuple[Path, Purpose]] = set()

    def read(self, path: Path, purpose: Purpose) -> None:
        key = (path.resolve(), purpose)
        if key in self._seen:
            return
        self._seen.add(key)
        shown = self._shown(path)
        for number, joined in logical_lines(text_of(path, shown)):
            line = _COMMENT.sub("", joined).strip()
            if line:
                self._line(line, Place(shown, number), path, purpose)

    def _line(self, line: str, place: Place, path: Path, purpose: Purpose) -> None:
        requirement, options = _split(line)
        if re.search(r"(^|\s)--hash[=\s]", options):
            self._found.hashed = self._found.hashed or place
        if requirement:
            self._package(requirement, place, purpose)
            return
        if re.search(r"(^|\s)--require-hashes(\s|$)", options):
            self._found.hashes_required = self._found.hashes_required or place
        for option, value in _options(options):
            if option == "-e":
                self._package(value, place, purpose, editable=True)
            elif _REMOTE.match(value) and not value.lower().startswith("file:"):
                continue  # only the installer can know what stands there
            elif option == "-f":
                self._find_links(value, place, path)
            else:
                self._include(option, value, place, path)

    def _package(
        self, text: str, place: Place, purpose: Purpose, *, editable: bool = False
    ) -> None:
        shown = without_password(f"-e {text}" if editable else text)
        wanted = parse_wanted(text, self._folder)
        if isinstance(wanted, str):
            error = DeploymentError(f"{place}: `{shown}` is no requirement: {wanted}")
            error.add_note("a line is a requirement of PEP 508, a path, a URL, or an option of pip")
            raise error
        if wanted.is_local:
            self._found.targets.append(LocalTarget(place, shown, wanted.path))
        self._found.listed.append(Listed(place, shown, wanted, purpose == "constraint"))

    def _include(self, option: str, value: str, place: Place, path: Path) -> None:
        written = f"{option} {value}"
        target = local_path(value, path.parent, root=self._folder)
        self._found.targets.append(LocalTarget(place, written, target))
        if target is None:
            return  # the value may be another one where it is installed
        if not target.path.is_file():
            error = DeploymentError(f"{place}: `{written}`: {self._shown(target.path)} not found")
            error.add_note(f"it is looked for from the folder of {place.file}")
            raise error
        self.read(target.path, "requirement" if option == "-r" else "constraint")

    def _find_links(self, value: str, place: Place, path: Path) -> None:
        beside = local_path(value, path.parent, root=self._folder)
        if beside is None or not beside.path.exists():
            beside = local_path(value, self._folder, root=self._folder)
        self._found.targets.append(LocalTarget(place, f"-f {value}", beside))

    def _shown(self, path: Path) -> str:
        folder = self._folder.absolute()
        absolute = path.absolute()
        return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else path)


def _split(line: str) -> tuple[str, str]:
    """Return the requirement and the options of a line: options begin with the first word that starts with a dash."""
    words = line.split(" ")
    first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    return " ".join(words[:first]).strip(), " ".join(words[first:])


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Yield those of `_OPTIONS` by their short name, with their value."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _OPTIONS:
            value = next(rest, "")
            if value:
                yield _OPTIONS[word], value
        elif equals and name.startswith("--") and name in _OPTIONS:
            yield _OPTIONS[name], value
        elif word[:2] in _OPTIONS and not word.startswith("--"):
            yield _OPTIONS[word[:2]], word[2:]
