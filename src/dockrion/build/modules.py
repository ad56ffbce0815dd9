"""Modules below one folder, found as Python finds them when that folder is the first on `sys.path`; none is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

_EXTENSIONS: Final = (".so", ".pyd")


@dataclass(frozen=True)
class Module:
    """`path` and `folder` are relative to the folder that is searched, with slashes.

    `path` is the file that Python runs, None of a folder without an `__init__`; `folder` is there where the module
    may hold others. `is_source` says that the file can be read as Python.
    """

    name: str
    path: str | None
    folder: str | None
    is_source: bool = True

    @property
    def is_regular(self) -> bool:
        """Whether it is a package with an `__init__`, and so has one place only."""
        return self.path is not None and self.folder is not None


class Modules:
    """Knows what stands in `root`; each folder is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Names of files and of folders of each folder that was read.
        self._listings: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._found: dict[str, Module | None] = {}

    def chain(self, name: str) -> list[Module]:
        """Return the modules that `a.b.c` goes through, `a`, `a.b`, `a.b.c`: as far as they are in the folder."""
        found: list[Module] = []
        end = -1
        while end < len(name):
            end = name.find(".", end + 1)
            end = len(name) if end < 0 else end
            module = self._module(name[:end], found[-1].folder if found else "")
            if module is None:
                break
            found.append(module)
        return found

    def find(self, name: str) -> Module | None:
        chain = self.chain(name)
        return chain[-1] if chain and chain[-1].name == name else None

    def below(self, module: Module) -> Iterator[Module]:
        """Yield all modules that a package holds, at any depth."""
        if module.folder is None:
            return
        files, folders = self._listing(module.folder)
        for child in sorted({file.partition(".")[0] for file in files} | folders):
            found = self._module(f"{module.name}.{child}", module.folder)
            if found is not None and child.isidentifier() and child != "__init__":
                yield found
                yield from self.below(found)

    def is_hidden(self, module: Module) -> bool:
        """Whether a package that is installed here comes before it, as it does for folders without an `__init__`."""
        if module.path is not None:
            return False
        return module.name in sys.stdlib_module_names or self._installed(module.name, regular=True)

    def is_installed(self, top: str) -> bool:
        return top in sys.stdlib_module_names or self._installed(top, regular=False)

    def names_in(self, folder: str) -> list[str]:
        """Return what could be imported from a folder by its name, for messages about one that is not there."""
        files, folders = self._listing(folder)
        names = {file.removesuffix(".py") for file in files if file.endswith(".py")} | folders
        return sorted(name for name in names if name.isidentifier())

    def _module(self, name: str, folder: str | None) -> Module | None:
        if folder is None:
            return None
        if name not in self._found:
            self._found[name] = self._look(name, folder)
        return self._found[name]

    def _look(self, name: str, folder: str) -> Module | None:
        """Look in the order of Python's own finder: package, extension, source, folder."""
        last = name.rpartition(".")[2]
        files, folders = self._listing(folder)
        prefix = f"{folder}/" if folder else ""
        inside = f"{prefix}{last}"
        if last in folders:
            contents = self._listing(inside)[0]
            if "__init__.py" in contents:
                return Module(name, f"{inside}/__init__.py", inside)
            if extension := _extension("__init__", contents):
                return Module(name, f"{inside}/{extension}", inside, is_source=False)
        if extension := _extension(last, files):
            return Module(name, f"{prefix}{extension}", None, is_source=False)
        if f"{last}.py" in files:
            return Module(name, f"{prefix}{last}.py", None)
        return Module(name, None, inside) if last in folders else None

    def _listing(self, folder: str) -> tuple[frozenset[str], frozenset[str]]:
        if folder not in self._listings:
            files: set[str] = set()
            folders: set[str] = set()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        (folders if entry.is_dir() else files).add(entry.name)
            except OSError:
                pass  # what cannot be read cannot be imported
            self._listings[folder] = frozenset(files), frozenset(folders)
        return self._listings[folder]

    def _installed(self, top: str, *, regular: bool) -> bool:
        here = os.path.realpath(self._root)
        others = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
        spec = PathFinder.find_spec(top, others)
        return spec is not None and (not regular or spec.origin is not None)


def _extension(name: str, files: frozenset[str]) -> str | None:
    # One for any version and machine: the image has another Python than this one.
    return min(
        (f for f in files if f.startswith(f"{name}.") and f.endswith(_EXTENSIONS)), default=None
    )
