"""What an attempt of a pattern has read when the text ends too early: its prefix closure.

Every character of the pattern may also be the end of the text, and once one is, all the rest is. Where the outcome
would depend on text that is still to come (look-ahead, word boundaries, `$`), the end of the text is a way through too.
Each change only lets more through, so an attempt that the closure refuses can never match, whatever comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dockrion.patterns.tree import (
    ANY_CHARACTER,
    AT_THE_END,
    CHARACTERS,
    REPEATS,
    UNBOUNDED,
    Node,
    Tree,
    either,
    parts,
    walk,
)

_ANYTHING: Node = ("MAX_REPEAT", (0, UNBOUNDED, [ANY_CHARACTER]))


def prefix_closure(tree: Tree) -> list[Node]:
    """Return what matches from a start to the end of the text if an attempt there can still become a match."""
    return [*_Closure(tree).of(tree.nodes), AT_THE_END]


def hold_back(tree: Tree) -> int | None:
    """Return how many characters an attempt can read before it is decided; None when there is no bound."""
    return tree.width(prefix_closure(tree))


def outside(tree: Tree) -> list[Node]:
    """Return what matches one character that no attempt can read and go on: it ends all that came before it."""
    if (_folds(tree) and _has(tree.nodes, "GROUPREF")) or _looks_ahead_behind(tree.nodes):
        return [("ASSERT_NOT", (1, [])), ANY_CHARACTER]
    return [("ASSERT_NOT", (1, [either(*_readable(tree.nodes))])), ANY_CHARACTER]


def later_start(tree: Tree) -> list[Node]:
    """Return what matches where no match and no living attempt begins unless one begins a character earlier, too.

    A pattern that opens with `C+` can read one `C` more: where it can start, it can start at the `C` before. Without
    this a long run of `C` would be read again from each of its characters.
    """
    if _has(tree.nodes, "GROUPREF") or _has(tree.nodes, "GROUPREF_EXISTS"):
        return []
    opening = _opening(tree.nodes)
    return [("ASSERT", (-1, opening))] if opening else []


def needed(tree: Tree) -> str:
    """Return a character that every match holds, or nothing."""
    found = "" if _folds(tree) else "".join(_needed(tree.nodes))
    return next((one for one in found if not one.isalnum()), found[:1])


class _Closure:
    def __init__(self, tree: Tree) -> None:
        self._folds = _folds(tree)
        self._groups: dict[int, list[Node]] = {
            node[1][0]: node[1][3]
            for node in walk(tree.nodes)
            if node[0] == "SUBPATTERN" and node[1][0] is not None
        }

    def of(self, nodes: Iterable[Node]) -> list[Node]:
        return [made for node in nodes for made in self._of_node(node)]

    def _of_node(self, node: Node) -> list[Node]:
        name, argument = node
        if name in CHARACTERS:
            return [either([node], [AT_THE_END])]
        if name in REPEATS:
            return self._of_repeat(*argument)
        if name == "SUBPATTERN":
            return [(name, (*argument[:3], self.of(argument[3])))]
        if name == "ATOMIC_GROUP":
            return [("SUBPATTERN", (None, 0, 0, self.of(argument)))]
        if name == "BRANCH":
            return [either(*map(self.of, argument[1]))]
        if name == "GROUPREF_EXISTS":
            return [either(self.of(argument[1]), self.of(argument[2] or []))]
        if name == "GROUPREF":
            return [either([node], [*self._of_group(argument), AT_THE_END])]
        if name in ("ASSERT", "ASSERT_NOT"):
            return self._of_look_around(node)
        if node == ("AT", "AT_END"):
            newline: Node = ("MAX_REPEAT", (0, 1, [("LITERAL", 10)]))
            return [either([node], [newline, AT_THE_END])]
        if name == "AT":
            return [either([node], [AT_THE_END])]
        return [node]

    def _of_repeat(self, least: int, most: int, body: list[Node]) -> list[Node]:
        if len(body) == 1 and body[0][0] in CHARACTERS:
            # As `re` is fastest: a repeat of one character stays one.
            whole: Node = ("MAX_REPEAT", (least, most, body))
            if least == 0:
                return [whole]
            return [either([whole], [("MAX_REPEAT", (0, least - 1, body)), AT_THE_END])]
        return [("MAX_REPEAT", (least, most, self.of(body)))]

    def _of_group(self, group: int) -> list[Node]:
        """Return what matches all prefixes of what the group has read, and more."""
        sequences = [] if self._folds else [*_readable(self._groups.get(group, []))]
        again = either(*sequences) if sequences else ANY_CHARACTER
        return [("MAX_REPEAT", (0, UNBOUNDED, [again]))]

    def _of_look_around(self, node: Node) -> list[Node]:
        direction, body = node[1]
        if direction > 0:
            return [either([node], [*self.of(body), AT_THE_END])]
        if _looks_ahead(body):
            # Look-ahead inside look-behind: nothing is known before the end of the text.
            return [either([], [_ANYTHING, AT_THE_END])]
        return [either([node], [AT_THE_END])]


def _opening(nodes: list[Node]) -> list[Node]:
    """Return the assertions and the one `C` of a pattern that opens with `C*` or `C+`; nothing for others."""
    opening: list[Node] = []
    for name, argument in nodes:
        if name in ("AT", "ASSERT", "ASSERT_NOT"):
            opening.append((name, argument))
            continue
        if name in ("MAX_REPEAT", "MIN_REPEAT") and argument[1] == UNBOUNDED:
            body = argument[2]
            return [*opening, *body] if len(body) == 1 and body[0][0] in CHARACTERS else []
        if name == "SUBPATTERN" and (inner := _opening(argument[3])):
            return [*opening, (name, (None, argument[1], argument[2], inner))]
        return []
    return []


def _needed(nodes: list[Node]) -> Iterator[str]:
    for name, argument in nodes:
        if name == "LITERAL":
            yield chr(argument)
        elif name == "SUBPATTERN":
            yield from _needed(argument[3])
        elif name in REPEATS and argument[0] > 0:
            yield from _needed(argument[2])


def _readable(nodes: Iterable[Node]) -> Iterator[list[Node]]:
    """Yield each character of the pattern, ahead ones too, under its flags."""
    for node in nodes:
        name, argument = node
        if name in CHARACTERS:
            yield [node]
        elif node == ("AT", "AT_END"):
            yield [("LITERAL", 10)]
        elif name == "SUBPATTERN":
            for one in _readable(argument[3]):
                yield [("SUBPATTERN", (None, argument[1], argument[2], one))]
        elif name not in ("ASSERT", "ASSERT_NOT") or argument[0] > 0:
            for part in parts(node):
                yield from _readable(part)


def _looks_ahead(nodes: list[Node]) -> bool:
    return any(
        name in ("ASSERT", "ASSERT_NOT") or (name, argument) == ("AT", "AT_END")
        for name, argument in walk(nodes)
    )


def _looks_ahead_behind(nodes: list[Node]) -> bool:
    return any(
        name in ("ASSERT", "ASSERT_NOT") and argument[0] < 0 and _looks_ahead(argument[1])
        for name, argument in walk(nodes)
    )


def _has(nodes: list[Node], wanted: str) -> bool:
    return any(name == wanted for name, _ in walk(nodes))


def _folds(tree: Tree) -> bool:
    """Tell whether case is ignored anywhere: then a back-reference can read other characters than its group."""
    return bool(tree.state.flags & re.IGNORECASE) or any(
        name == "SUBPATTERN" and argument[1] & re.IGNORECASE for name, argument in walk(tree.nodes)
    )
