"""Name to implementation: built-in import strings, and the entry points of other packages; and packages that are missing."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar, cast

from dockrion.errors import MissingExtraError, ValidationError

T = TypeVar("T")


@contextmanager
def needing_extra(extra: str | None, asked_by: str) -> Generator[None]:
    """Import inside what an extra of dockrion brings; raise `MissingExtraError` where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if extra is None or (exc.name or "").startswith("dockrion"):
            raise
        raise MissingExtraError(
            f"{asked_by} needs the package {exc.name!r}; pip install 'dockrion[{extra}]'"
        ) from exc


class Registry(Generic[T]):
    """Implementations of one seam, imported on first use.

    `group` is both what the names are called in messages and, as `dockrion.<group>`, the entry-point group
    for other packages. A name registered at run time wins over a built-in one, that over an entry point.
    """

    def __init__(self, group: str, builtin: dict[str, str], *, extras: dict[str, str]) -> None:
        self._group = group
        self._builtin = builtin
        self._extras = extras
        self._registered: dict[str, T] = {}

    def register(self, name: str, implementation: T) -> None:
        self._registered[name] = implementation

    def names(self) -> list[str]:
        installed = {point.name for point in entry_points(group=f"dockrion.{self._group}")}
        return sorted({*self._registered, *self._builtin, *installed})

    def get(self, name: str) -> T:
        """Return the implementation; raise `ValidationError` for an unknown name, `MissingExtraError` for a missing package."""
        if name in self._registered:
            return self._registered[name]
        if name in self._builtin:
            return self._import(name, self._builtin[name])
        for point in entry_points(group=f"dockrion.{self._group}", name=name):
            return cast("T", point.load())
        raise ValidationError(f"unknown {self._group}: {name!r}; known: {', '.join(self.names())}")

    def _import(self, name: str, target: str) -> T:
        module_name, _, attribute = target.partition(":")
        with needing_extra(self._extras.get(name), f"{self._group}: {name!r}"):
            module: Any = importlib.import_module(module_name)
        return cast("T", getattr(module, attribute))
