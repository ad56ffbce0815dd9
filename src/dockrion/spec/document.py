"""YAML 1.2 (core schema) to plain data, with the place of every key and value."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

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
_CORE: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = tuple(f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null"))
_VARIABLE_IN_BRACKETS = re.compile(r"[\[{,].*\$\{")

Event: TypeAlias = Any
"""One of `ruamel.yaml.events`, whose attributes are not typed."""


@dataclass
class Document:
    """`plain` are the scalars that stand without quotes and hold a variable; they are still text."""

    data: Any = None
    places: dict[Loc, Place] = field(default_factory=dict[Loc, Place])
    plain: set[Loc] = field(default_factory=set[Loc])
    problems: list[Problem] = field(default_factory=list[Problem])


class _BrokenError(Exception):
    """There is no point in reading on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_document(text: str, *, only_text: bool = False) -> Document:
    """Parse one document; what is wrong with it is in `problems`, `data` is None when nothing can be used.

    Keys are always text. With `only_text` all scalars but null are, too, exactly as they stand.
    """
    # Reading YAML takes a library of some size, which programs that pass mappings never need.
    yaml: Any = importlib.import_module("ruamel.yaml")

    reader = _Reader(yaml.YAML(typ="safe", pure=True).parse(text), yaml.events, only_text=only_text)
    try:
        reader.read()
    except _BrokenError as exc:
        return Document(problems=[exc.problem])
    except yaml.error.MarkedYAMLError as exc:
        return Document(problems=[_syntax_problem(exc, text)])
    except yaml.reader.ReaderError as exc:
        return Document(problems=[_character_problem(exc, text)])
    return reader.document


class _Reader:
    """Builds a document from the parser's events."""

    def __init__(self, events: Iterator[Event], kinds: Any, *, only_text: bool) -> None:
        self.document = Document()
        self._events = events
        self._kinds = kinds
        self._only_text = only_text
        self._anchors: dict[str, tuple[Any, Loc]] = {}

    def read(self) -> None:
        kinds = self._kinds
        for event in self._events:
            if isinstance(event, kinds.DocumentStartEvent):
                if () in self.document.places:
                    raise _broken(event, "there may be only one document")
            elif isinstance(event, kinds.NodeEvent):
                self.document.places[()] = Place(_start(event), _start(event))
                self.document.data = self._node(event, ())

    def _node(self, event: Event, loc: Loc) -> Any:
        if len(loc) > MAX_DEPTH:
            raise _broken(event, f"nested more than {MAX_DEPTH} levels deep")
        if len(self.document.places) > MAX_VALUES:
            raise _broken(event, f"more than {MAX_VALUES} values, aliases counted")
        if isinstance(event, self._kinds.AliasEvent):
            return self._alias(event, loc)
        if isinstance(event, self._kinds.MappingStartEvent):
            value = self._mapping(loc)
        elif isinstance(event, self._kinds.SequenceStartEvent):
            value = self._sequence(loc)
        else:
            value = self._scalar(event, loc)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, loc)
        return value

    def _alias(self, event: Event, loc: Loc) -> Any:
        if event.anchor not in self._anchors:
            raise _broken(event, f"the alias *{event.anchor} has no anchor that ends before it")
        value, anchor = self._anchors[event.anchor]
        depth = len(anchor)
        places, plain = self.document.places, self.document.plain
        places |= {
            loc + below[depth:]: place
            for below, place in places.items()
            if below[:depth] == anchor and len(below) > depth
        }
        plain |= {loc + below[depth:] for below in plain if below[:depth] == anchor}
        return value

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), self._kinds.MappingEndEvent):
            if not isinstance(event, self._kinds.ScalarEvent):
                raise _broken(event, "a key must be text")
            if event.value == "<<" and not event.style:
                raise _broken(event, "merge keys (<<) are no part of YAML 1.2; write the keys out")
            if event.value in found:
                self._duplicate(event, (*loc, event.value))
            else:
                found[event.value] = self._entry(event, (*loc, event.value))
        return found

    def _entry(self, key: Event, loc: Loc) -> Any:
        value = next(self._events)
        # What is not there, or stands below its key, is shown at the key.
        nothing = value.start_mark.index == value.end_mark.index
        below = getattr(value, "flow_style", None) is False
        self.document.places[loc] = Place(_start(key), _start(key if nothing or below else value))
        return self._node(value, loc)

    def _duplicate(self, key: Event, loc: Loc) -> None:
        line, column = self.document.places[loc].key
        message = f"is given twice, first on line {line}, column {column}"
        self.document.problems.append(Problem(path_of(loc), message, *_start(key)))
        # The first one counts; this one is read past, aside, so that it leaves no trace.
        aside = _Reader(self._events, self._kinds, only_text=self._only_text)
        aside._anchors = self._anchors
        aside._node(next(self._events), loc)

    def _sequence(self, loc: Loc) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), self._kinds.SequenceEndEvent):
            below = (*loc, len(found))
            self.document.places[below] = Place(_start(event), _start(event))
            found.append(self._node(event, below))
        return found

    def _scalar(self, event: Event, loc: Loc) -> Any:
        tag: str | None = event.tag
        text: str = event.value
        if tag not in (None, "!", *_SCALAR_TAGS):
            raise _broken(event, f"the tag {tag} is not known")
        if tag in ("!", f"{_CORE}str") or (tag is None and event.style):
            return text
        value = core_scalar(text)
        if self._only_text:
            return None if value is None else text
        if tag is None and "${" in text:
            self.document.plain.add(loc)
        return value


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


def _start(event: Event) -> tuple[int, int]:
    """Return line and column, counted from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1


def _broken(event: Event, message: str) -> _BrokenError:
    return _BrokenError(Problem("", f"no valid YAML: {message}", *_start(event)))


def _syntax_problem(exc: Any, text: str) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    said: str = exc.problem
    line: int = mark.line
    words = f"no valid YAML: {said}"
    if "\\t" in said:
        words = "no valid YAML: a tab cannot indent; use spaces"
    elif _VARIABLE_IN_BRACKETS.search("".join(text.split("\n")[line : line + 1])):
        words += "; inside [ ] and { } a variable needs quotes"
    return Problem("", words, line + 1, mark.column + 1)


def _character_problem(exc: Any, text: str) -> Problem:
    before = text[: exc.position]
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return Problem(
        "", f"no valid YAML: the character U+{exc.character:04X} is not allowed", line, column
    )
