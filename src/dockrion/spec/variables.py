"""`${VAR}`, `${VAR:-default}` and `$${` in the strings of the Dockfile."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from dockrion.spec.document import core_scalar
from dockrion.spec.env import DEFAULT, SHELL
from dockrion.spec.fields import Kind, Unresolved, is_list, is_mapping
from dockrion.spec.problems import Origin, Source
from dockrion.spec.shape import Loc, Shape, shape_at

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


@dataclass
class Filled:
    """A text with its variables filled in; those that have no value still stand in it."""

    text: str
    used: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    defaulted: list[str] = field(default_factory=list[str])
    nested: list[str] = field(default_factory=list[str])


def fill(text: str, environment: Mapping[str, str]) -> Filled:
    """Fill in each variable once; what a value itself holds is not looked at."""
    filled = Filled(text)

    def value_of(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name is None:
            return "${"
        filled.used.append(name)
        value = environment.get(name)
        if value or (value is not None and default is None):
            return value
        if default is None:
            filled.missing.append(name)
            return match.group()
        if "${" in default:
            filled.nested.append(name)
        filled.defaulted.append(name)
        return default

    filled.text = _VARIABLE.sub(value_of, text)
    return filled


@dataclass(frozen=True)
class Filler:
    """Fills in the variables of a document, and tells the source what came from where.

    `plain` are the scalars without quotes: one that is nothing but a variable is read again as YAML reads a
    scalar, unless its field is text. A variable among `tolerated` may be missing,
    and of one among `hidden` no value is ever shown. `sources` has the origin of each variable.
    """

    environment: Mapping[str, str]
    source: Source
    root: Shape = None
    plain: AbstractSet[Loc] = frozenset()
    tolerated: AbstractSet[str] = frozenset()
    hidden: AbstractSet[str] = frozenset()
    sources: Mapping[str, str] = field(default_factory=dict[str, str])

    def fill(self, data: Any, loc: Loc = (), *, but: AbstractSet[Loc] = frozenset()) -> Any:
        """Return the data with all strings below filled in, except those at the paths `but`."""
        if loc in but:
            return data
        if is_mapping(data):
            return {key: self.fill(value, (*loc, key), but=but) for key, value in data.items()}
        if is_list(data):
            return [self.fill(item, (*loc, index), but=but) for index, item in enumerate(data)]
        if isinstance(data, str) and "${" in data:
            return self._text(data, loc)
        return data

    def _text(self, text: str, loc: Loc) -> Any:
        filled = fill(text, self.environment)
        for match in _VARIABLE.finditer(text):
            if name := match.group(1):
                needed = match.group(2) is None or self.source.variables.get(name, False)
                self.source.variables[name] = needed
        for name in dict.fromkeys(filled.nested):
            self.source.add(loc, f"the default of ${{{name}}} cannot hold another variable")
        if filled.missing:
            for name in dict.fromkeys(filled.missing):
                if name not in self.tolerated:
                    self.source.add(loc, f"the variable {name} is not set and has no default")
            return Unresolved(text)
        if filled.used:
            self.source.written[loc] = text
        value = core_scalar(filled.text) if self._could_be_scalar(text, loc) else filled.text
        if filled.used:
            quoted = loc not in self.plain and not isinstance(value, str)
            self.source.origins[loc] = self._origin(filled, quoted=quoted)
        return value if loc in self.plain else filled.text

    def _could_be_scalar(self, text: str, loc: Loc) -> bool:
        shape = shape_at(self.root, loc)
        of_text = isinstance(shape, Kind) and shape.text
        whole = _VARIABLE.fullmatch(text)
        return not of_text and whole is not None and whole.group(1) is not None

    def _origin(self, filled: Filled, *, quoted: bool) -> Origin:
        names = dict.fromkeys(filled.used)
        told = ", ".join(
            f"{name} is not set"
            if name in filled.defaulted
            else f"{name} is set in {_place(self.sources.get(name, SHELL))}"
            for name in names
        )
        return Origin(told, hidden=not self.hidden.isdisjoint(names), quoted=quoted)


def _place(source: str) -> str:
    return {SHELL: "the shell", DEFAULT: "secrets"}.get(source, source)
