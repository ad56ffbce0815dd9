"""Modules below one folder, found as Python finds them when that folder is the first on `sys.path`; none is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
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
        self._listings: dict[str, _Listing] = {}
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

    def below(self, module: Module) -> Iterator[Module]:
        """Yield all modules that a package holds, at any depth."""
        if module.folder is None:
            return
        listing = self._listing(module.folder)
        for child in sorted({file.partition(".")[0] for file in listing.files} | listing.folders):
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
        listing = self._listing(folder)
        modules = {file.removesuffix(".py") for file in listing.files if file.endswith(".py")}
        return sorted(name for name in modules | listing.folders if name.isidentifier())

    def _module(self, name: str, folder: str | None) -> Module | None:
        if folder is None:
            return None
        if name not in self._found:
            self._found[name] = self._look(name, folder)
        return self._found[name]

    def _look(self, name: str, folder: str) -> Module | None:
        """Look in the order of Python's own finder: package, extension, source, folder."""
        last = name.rpartition(".")[2]
        listing = self._listing(folder)
        prefix = f"{folder}/" if folder else ""
        inside = f"{prefix}{last}"
        is_folder = last in listing.folders
        if is_folder:
            contents = self._listing(inside)
            if "__init__.py" in contents.files:
                return Module(name, f"{inside}/__init__.py", inside)
            if extension := contents.extensions.get("__init__"):
                return Module(name, f"{inside}/{extension}", inside, is_source=False)
        if extension := listing.extensions.get(last):
            return Module(name, f"{prefix}{extension}", None, is_source=False)
        if f"{last}.py" in listing.files:
            return Module(name, f"{prefix}{last}.py", None)
        return Module(name, None, inside) if is_folder else None

    def _listing(self, folder: str) -> _Listing:
        if folder not in self._listings:
            listing = self._listings[folder] = _Listing()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        (listing.folders if entry.is_dir() else listing.files).add(entry.name)
            except OSError:
                pass  # what cannot be read cannot be imported
            # One for any version and machine: the image has another Python than this one.
            compiled = (file for file in listing.files if file.endswith(_EXTENSIONS))
            listing.extensions = {f.partition(".")[0]: f for f in sorted(compiled, reverse=True)}
        return self._listings[folder]

    def _installed(self, top: str, *, regular: bool) -> bool:
        """Ask all finders, as an import does; those of editable installs know what is on no path."""
        here = os.path.realpath(self._root)
        others = [entry for entry in sys.path if os.path.realpath(entry or ".") != here]
        for finder in sys.meta_path:
            spec = finder.find_spec(top, others if finder is PathFinder else None)
            if spec is not None:
                return not regular or spec.origin is not None
        return False


@dataclass
class _Listing:
    """The names in one folder; `extensions` maps modules to the files that they are compiled to."""

    files: set[str] = field(default_factory=set[str])
    folders: set[str] = field(default_factory=set[str])
    extensions: dict[str, str] = field(default_factory=dict[str, str])
