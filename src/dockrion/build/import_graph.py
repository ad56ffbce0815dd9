"""Which files of a project its agent imports, by all ways that lead from one module to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dockrion.build.imports import Import, UnreadableSourceError, imports_of
from dockrion.build.modules import Module, Modules


@dataclass
class Reached:
    """`units` has what has to come along, files and whole packages, each with the file that imports it.

    `unreadable` are sources whose own imports could not be looked at, each with the reason.
    """

    units: dict[str, str] = field(default_factory=dict[str, str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])


def follow_imports(root: Path, modules: Modules, starts: Iterable[str]) -> Reached:
    """Follow the imports of the modules called `starts` as far as they lead to files below `root`."""
    return _Graph(root, modules).follow(starts)


class _Graph:
    def __init__(self, root: Path, modules: Modules) -> None:
        self._root = root
        self._modules = modules
        self._reached = Reached()
        self._seen = set[str]()
        self._hidden: dict[str, bool] = {}
        self._waiting: deque[tuple[Import, str]] = deque()

    def follow(self, starts: Iterable[str]) -> Reached:
        self._waiting.extend((Import(name), "Dockfile") for name in starts)
        while self._waiting:
            self._reach(*self._waiting.popleft())
        return self._reached

    def _reach(self, one: Import, importer: str) -> None:
        chain = self._modules.chain(one.name)
        if not chain or self._is_hidden(chain[0]):
            return
        last = chain[-1]
        unit = _unit(chain)
        if unit is None and one.kind == "data" and last.name == one.name:
            unit = last.folder
        if unit is not None:
            self._reached.units.setdefault(unit, importer)
        for module in chain:
            self._read(module)
        if one.kind == "below" and last.name == one.name:
            waiting = [(Import(module.name), importer) for module in self._modules.below(last)]
            self._waiting.extend(waiting)

    def _read(self, module: Module) -> None:
        if module.path is None or not module.is_source or module.path in self._seen:
            return
        self._seen.add(module.path)
        package = module.name if module.is_regular else module.name.rpartition(".")[0]
        try:
            source = (self._root / module.path).read_bytes()
            found = imports_of(source, module=module.name, package=package)
        except UnreadableSourceError as exc:
            self._reached.unreadable[module.path] = str(exc)
        except OSError as exc:
            self._reached.unreadable[module.path] = exc.strerror or type(exc).__name__
        else:
            self._waiting.extend((one, module.path) for one in found)

    def _is_hidden(self, top: Module) -> bool:
        if top.name not in self._hidden:
            self._hidden[top.name] = self._modules.is_hidden(top)
        return self._hidden[top.name]


def _unit(chain: list[Module]) -> str | None:
    """Return what belongs to a module: its outermost package, or in folders without `__init__.py` its folder."""
    package = next((module for module in chain if module.is_regular), None)
    if package is not None:
        return package.folder
    last = chain[-1]
    if last.path is None:
        return None
    return chain[-2].folder if len(chain) > 1 else last.path
