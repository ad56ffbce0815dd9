"""Parse trees of `re`, and patterns that are compiled from trees.

`re` has no public way to ask what a pattern is made of; `re._parser` and `re._compiler` are what it uses itself.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_compiler: Any = importlib.import_module("re._compiler")
_constants: Any = importlib.import_module("re._constants")

_ALPHABETS = int(re.ASCII | re.LOCALE | re.UNICODE)

UNBOUNDED: int = _constants.MAXREPEAT

# A node is a pair of an operation's name and its argument; lists of nodes are sequences.
Node = tuple[str, Any]
AT_THE_END: Node = ("AT", "AT_END_STRING")
ANY_CHARACTER: Node = ("SUBPATTERN", (None, int(re.DOTALL), 0, [("ANY", None)]))

CHARACTERS = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN"})
REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})


class Tree:
    """The parse tree of one pattern, with the state (flags, groups) that compiling needs."""

    def __init__(self, pattern: str) -> None:
        with warnings.catch_warnings():
            # What a later Python may read in another way is fine in this one.
            warnings.simplefilter("ignore", FutureWarning)
            parsed = _parser.parse(pattern)
        self.state = parsed.state
        self.nodes: list[Node] = _plain(parsed)
        self.least: int = parsed.getwidth()[0]
        # Where a group changes the alphabet, as `(?a:...)` does, CPython's `search` looks for a first character
        # by the outer alphabet, and overlooks matches that its `match` finds. An opening look-ahead turns that off.
        self._opening: list[Node] = (
            [("ASSERT", (1, []))]
            if any(name == "SUBPATTERN" and part[1] & _ALPHABETS for name, part in walk(self.nodes))
            else []
        )

    def compile(self, nodes: Iterable[Node]) -> re.Pattern[str]:
        """Compile `nodes` under the flags and with the groups of this pattern."""
        opened = _subpattern([*self._opening, *nodes], self.state)
        return _compiler.compile(opened, self.state.flags)

    def width(self, nodes: Iterable[Node]) -> int | None:
        """Return the length of the longest text that `nodes` can read; None when it has no bound."""
        longest = _subpattern(nodes, self.state).getwidth()[1]
        return None if longest >= _WIDEST else longest


# `getwidth` stops counting there, in a way that differs between versions.
_WIDEST = min(UNBOUNDED, 1 << 31) - 1


def parts(node: Node) -> Iterator[list[Node]]:
    """Yield the sequences that `node` is made of."""
    name, argument = node
    if name in REPEATS:
        yield argument[2]
    elif name == "SUBPATTERN":
        yield argument[3]
    elif name in ("ASSERT", "ASSERT_NOT"):
        yield argument[1]
    elif name == "ATOMIC_GROUP":
        yield argument
    elif name == "BRANCH":
        yield from argument[1]
    elif name == "GROUPREF_EXISTS":
        yield argument[1]
        yield argument[2] or []


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """Yield every node, outer ones first."""
    for node in nodes:
        yield node
        for part in parts(node):
            yield from walk(part)


def either(*sequences: list[Node]) -> Node:
    return ("BRANCH", (None, list(sequences)))


def look_behind(nodes: Iterable[Node]) -> int:
    """Return how many characters before its start an attempt can look at, `^` and word boundaries not counted."""
    longest = 0
    for node in nodes:
        name, argument = node
        behind = name in ("ASSERT", "ASSERT_NOT") and argument[0] < 0
        inner = max((look_behind(part) for part in parts(node)), default=0)
        own = _subpattern(argument[1], _parser.State()).getwidth()[1] if behind else 0
        longest = max(longest, own + inner)
    return longest


def _plain(parsed: Any) -> list[Node]:
    return [_plain_node(str(name), argument) for name, argument in parsed]


def _plain_node(name: str, argument: Any) -> Node:
    if name in REPEATS:
        return (name, (argument[0], argument[1], _plain(argument[2])))
    if name == "SUBPATTERN":
        return (name, (*argument[:3], _plain(argument[3])))
    if name in ("ASSERT", "ASSERT_NOT"):
        return (name, (argument[0], _plain(argument[1])))
    if name == "ATOMIC_GROUP":
        return (name, _plain(argument))
    if name == "BRANCH":
        return (name, (None, [_plain(part) for part in argument[1]]))
    if name == "GROUPREF_EXISTS":
        return (name, (argument[0], _plain(argument[1]), argument[2] and _plain(argument[2])))
    if name == "AT":
        return (name, str(argument))
    return (name, argument)


def _subpattern(nodes: Iterable[Node], state: Any) -> Any:
    made = _parser.SubPattern(state)
    for name, argument in nodes:
        made.append((getattr(_constants, name), _argument(name, argument, state)))
    return made


def _argument(name: str, argument: Any, state: Any) -> Any:
    if name in REPEATS:
        return (argument[0], argument[1], _subpattern(argument[2], state))
    if name == "SUBPATTERN":
        return (*argument[:3], _subpattern(argument[3], state))
    if name in ("ASSERT", "ASSERT_NOT"):
        return (argument[0], _subpattern(argument[1], state))
    if name == "ATOMIC_GROUP":
        return _subpattern(argument, state)
    if name == "BRANCH":
        return (None, [_subpattern(part, state) for part in argument[1]])
    if name == "GROUPREF_EXISTS":
        no = argument[2] and _subpattern(argument[2], state)
        return (argument[0], _subpattern(argument[1], state), no)
    if name == "AT":
        return getattr(_constants, argument)
    return argument
