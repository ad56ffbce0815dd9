"""YAML 1.2 (core schema) to plain data, with the place of every key and value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Never, TypeAlias

from dockrion.spec.problems import Place, Problem, path_of
from dockrion.spec.shape import Loc

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 100_000

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{
        f"{sign}{word}": float(f"{sign}inf")
        for sign in ("", "+", "-")
        for word in (".inf", ".Inf", ".INF")
    },
}
_CORE = "tag:yaml.org,2002:"

Event: TypeAlias = Any
"""One of `ruamel.yaml.events`, whose attributes are not typed."""


@dataclass
class Document:
    """`plain` are the scalars that stand without quotes and hold a variable; they are still text."""

    data: Any = None
    places: dict[Loc, Place] = field(default_factory=dict[Loc, Place])
    plain: set[Loc] = field(default_factory=set[Loc])
    problems: list[Problem] = field(default_factory=list[Problem])


class _Broken(Exception):  # noqa: N818
    """There is no point in reading on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_document(text: str, *, only_text: bool = False) -> Document:
    """Parse one document; what is wrong with it is in `problems`, `data` is None when nothing can be used.

    Keys are always text. With `only_text` all scalars but null are, too, exactly as they stand.
    """
    # Reading YAML takes a library of some size, which programs that pass mappings never need.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    builder = _Builder(YAML(typ="safe", pure=True).parse(text), only_text=only_text)
    try:
        builder.build()
    except _Broken as exc:
        return Document(problems=[exc.problem])
    except MarkedYAMLError as exc:
        return Document(problems=[_syntax_problem(exc, text)])
    except ReaderError as exc:
        before = text[: exc.position]
        line, column = before.count("\n") + 1, exc.position - (before.rfind("\n") + 1) + 1
        return Document(
            problems=[
                Problem(
                    "",
                    f"no valid YAML: the character {exc.character!r} is not allowed",
                    line,
                    column,
                )
            ]
        )
    return builder.document


class _Builder:
    def __init__(self, events: Iterator[Event], *, only_text: bool) -> None:
        self.document = Document()
        self._events = events
        self._only_text = only_text
        self._anchors: dict[str, tuple[Any, Loc]] = {}

    def build(self) -> None:
        from ruamel.yaml import events as kinds

        for event in self._events:
            if isinstance(
                event, kinds.StreamStartEvent | kinds.StreamEndEvent | kinds.DocumentEndEvent
            ):
                continue
            if isinstance(event, kinds.DocumentStartEvent):
                if self.document.places:
                    self._broken(event, "a second YAML document; there may be only one")
                continue
            self.document.places[()] = Place(_start(event), _start(event))
            self.document.data = self._node(event, ())

    def _node(self, event: Event, loc: Loc) -> Any:
        from ruamel.yaml import events as kinds

        if len(loc) > MAX_DEPTH:
            self._broken(event, f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, kinds.AliasEvent):
            return self._alias(event, loc)
        if len(self.document.places) > MAX_VALUES:
            self._broken(event, f"more than {MAX_VALUES} values, aliases counted")
        if isinstance(event, kinds.MappingStartEvent):
            value = self._mapping(loc)
        elif isinstance(event, kinds.SequenceStartEvent):
            value = self._sequence(loc)
        else:
            value = self._scalar(event, loc)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, loc)
        return value

    def _alias(self, event: Event, loc: Loc) -> Any:
        if event.anchor not in self._anchors:
            self._broken(event, f"the alias *{event.anchor} has no anchor that ends before it")
        value, anchor = self._anchors[event.anchor]
        depth = len(anchor)
        for below, place in list(self.document.places.items()):
            if below[:depth] == anchor and len(below) > depth:
                self.document.places[loc + below[depth:]] = place
        self.document.plain |= {
            loc + below[depth:] for below in self.document.plain if below[:depth] == anchor
        }
        return value

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        from ruamel.yaml.events import MappingEndEvent, ScalarEvent

        found: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                self._broken(event, "a key must be text")
            self._entry(event, found, loc)
        return found

    def _entry(self, event: Event, found: dict[str, Any], loc: Loc) -> None:
        key: str = event.value
        if key == "<<" and not event.style:
            self._broken(event, "merge keys (<<) are no part of YAML 1.2; write the keys out")
        first = self.document.places[(*loc, key)].key if key in found else None
        below = next(self._events)
        if first is None:
            self.document.places[(*loc, key)] = Place(
                _start(event), _start(below, empty=_start(event))
            )
            found[key] = self._node(below, (*loc, key))
            return
        line, column = first
        self.document.problems.append(
            Problem(
                path_of((*loc, key)),
                f"is given twice, first on line {line}, column {column}",
                *_start(event),
            )
        )
        aside = _Builder(self._events, only_text=self._only_text)
        aside._anchors = self._anchors  # noqa: SLF001
        aside._node(below, (*loc, key))  # noqa: SLF001

    def _sequence(self, loc: Loc) -> list[Any]:
        from ruamel.yaml.events import SequenceEndEvent

        found: list[Any] = []
        for event in self._events:
            if isinstance(event, SequenceEndEvent):
                break
            below = (*loc, len(found))
            self.document.places[below] = Place(_start(event), _start(event))
            found.append(self._node(event, below))
        return found

    def _scalar(self, event: Event, loc: Loc) -> Any:
        tag, text, plain = event.tag, event.value, not event.style
        if tag in (f"{_CORE}str", "!"):
            return text
        if tag is not None and tag not in (f"{_CORE}{t}" for t in ("int", "float", "bool", "null")):
            self._broken(event, f"the tag {tag} is not known")
        if not plain and tag is None:
            return text
        value = core_scalar(text)
        if self._only_text:
            return None if value is None else text
        if "${" in text:
            self.document.plain.add(loc)
        return value

    def _broken(self, event: Event, message: str) -> Never:
        raise _Broken(Problem("", f"no valid YAML: {message}", *_start(event)))


def core_scalar(text: str) -> Any:
    """Return what the core schema of YAML 1.2 reads in a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        try:
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        except ValueError:  # more digits than Python converts
            return text
    return float(text) if _FLOAT.fullmatch(text) else text


def _start(event: Event, *, empty: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return line and column, counted from 1; those of `empty` for a value that is not there."""
    start, end = event.start_mark, event.end_mark
    if empty is not None and (start.line, start.column) == (end.line, end.column):
        return empty
    return start.line + 1, start.column + 1


def _syntax_problem(exc: Any, text: str) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    words = f"no valid YAML: {exc.problem}"
    if "\\t" in exc.problem:
        words = "no valid YAML: a tab cannot indent; use spaces"
    elif "${" in line and ("[" in line or "{" in line.replace("${", "")):
        words += "; inside [ ] and { } a variable needs quotes"
    return Problem("", words, mark.line + 1, mark.column + 1)
