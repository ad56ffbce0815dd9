"""How long a pattern can take, counted: a small backtracking matcher that reads made-up texts and counts its steps.

`re` gives no count and cannot be stopped, and times differ between machines. So attempts are made here in the order in
which `re` makes them, on texts that repeat what the pattern repeats and then break off.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from dockrion.patterns.prefix import prefix_closure
from dockrion.patterns.tree import CHARACTERS, REPEATS, Node, Tree, parts, walk

_SHORT, _LONG = 16, 64
_GROWTH = (
    8  # four times the text: a linear attempt takes 4 times the steps, a quadratic one 16 times
)
_WORTH_A_LOOK = 1000
_STEPS = 20_000
# Of so many rounds, the square with room to spare; the cube is more.
_FEW = 24
_FEW_STEPS = 8_000
_TEXTS = 64
_LARGE = 8  # repeats of fewer rounds are not worth a text of their own
_SAMPLES = "aZ0_ -\n.,:;@/=+(é一\x00\U0010ffff"


def explodes(tree: Tree, *, in_pieces: bool = False) -> bool:
    """Tell whether one attempt of the pattern, or of its prefix closure too, can take more than linear time."""
    sample = _Sample(tree)
    match = sample.prepared(tree.nodes)
    alive = sample.prepared(prefix_closure(tree)) if in_pieces else []
    return any(
        _steep(match, alive, prefix, pump, suffix)
        for prefix, pump, suffix in sample.texts(match)[:_TEXTS]
    )


def _steep(match: list[Node], alive: list[Node], prefix: str, pump: str, suffix: str) -> bool:
    short, long = (prefix + pump * rounds + suffix for rounds in (_SHORT, _LONG))
    if _grows(match, short, long):
        return True
    attempt = _Attempt(long)
    end = attempt.end(match)
    if end is None or end * 2 < len(long):
        return _grows(alive, short, long)
    # What an attempt reads to the end and then takes away as a match is read once more and not again: that may
    # take the square of its length.
    return _steps(alive, prefix + pump * _FEW + suffix) > _FEW_STEPS


def _grows(nodes: list[Node], short: str, long: str) -> bool:
    before = _steps(nodes, short)
    if before < _STEPS:
        after = _steps(nodes, long)
        return after > _WORTH_A_LOOK and after > _GROWTH * before
    return True


def _steps(nodes: list[Node], text: str) -> int:
    attempt = _Attempt(text)
    attempt.end(nodes)
    return attempt.steps


class _TooManyStepsError(Exception):
    """The count has reached its limit."""


class _Attempt:
    """One attempt at the start of one text. Nodes are those of `_Sample.prepared`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.steps = 0

    def end(self, nodes: list[Node]) -> int | None:
        try:
            return next(self._all(nodes, 0, 0), None)
        except _TooManyStepsError:
            return None

    def _all(self, nodes: list[Node], first: int, at: int) -> Iterator[int]:
        if first == len(nodes):
            yield at
            return
        for end in self._one(nodes[first], at):
            yield from self._all(nodes, first + 1, end)

    def _one(self, node: Node, at: int) -> Iterator[int]:
        self._count(1)
        name, argument = node
        if name == "CHARACTER":
            if at < len(self._text) and self._text[at] in argument:
                yield at + 1
        elif name == "RUN":
            yield from self._run(argument, at)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from self._repeat(node, 0, at)
        elif name == "FIRST":
            yield from list(self._first(argument, at))
        elif name == "AHEAD":
            wanted, body = argument
            if (next(self._all(body, 0, at), None) is not None) == wanted:
                yield at
        elif name == "BRANCH":
            for part in argument:
                yield from self._all(part, 0, at)
        elif name == "PLACE":
            if argument.match(self._text, at):
                yield at
        elif name == "PASS":
            yield at

    def _first(self, nodes: list[Node], at: int) -> Iterator[int]:
        end = next(self._all(nodes, 0, at), None)
        if end is not None:
            yield end

    def _run(self, run: tuple[int, int, bool, str], at: int) -> Iterator[int]:
        least, most, greedy, readable = run
        stop = at
        while stop < len(self._text) and stop - at < most and self._text[stop] in readable:
            stop += 1
        self._count(stop - at)
        ends = range(at + least, stop + 1)
        for end in reversed(ends) if greedy else ends:
            self._count(1)
            yield end

    def _repeat(self, node: Node, rounds: int, at: int) -> Iterator[int]:
        name, (least, most, body) = node
        enough = rounds >= least
        if enough and name == "MIN_REPEAT":
            yield at
        if rounds < most:
            for end in self._all(body, 0, at):
                if end > at or not enough:
                    yield from self._repeat(node, rounds + 1, end)
        if enough and name == "MAX_REPEAT":
            yield at

    def _count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > _STEPS:
            self.steps = 1 << 30
            raise _TooManyStepsError


class _Sample:
    """A few characters that stand for all: no two of them are the same to the pattern."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known: dict[str, str] = {}
        self._letters = _SAMPLES + "".join(_literals(tree.nodes))
        seen: dict[tuple[bool, ...], str] = {}
        self.prepared(tree.nodes)
        for letter in self._letters:
            seen.setdefault(tuple(letter in read for read in self._known.values()), letter)
        self._letters = "".join(seen.values())
        self._known.clear()

    def prepared(self, nodes: list[Node], flags: tuple[int, int] = (0, 0)) -> list[Node]:
        """Return the nodes with every character as the letters that it reads."""
        return [self._prepared(node, flags) for node in nodes]

    def _prepared(self, node: Node, flags: tuple[int, int]) -> Node:
        name, argument = node
        if name in CHARACTERS:
            return ("CHARACTER", self._read(node, flags))
        if name in REPEATS:
            return self._prepared_repeat(node, flags)
        if name == "SUBPATTERN":
            add, drop = argument[1:3]
            inner = ((flags[0] | add) & ~drop, (flags[1] | drop) & ~add)
            return ("BRANCH", [self.prepared(argument[3], inner)])
        if name == "ATOMIC_GROUP":
            return ("FIRST", self.prepared(argument, flags))
        if name in ("BRANCH", "GROUPREF_EXISTS"):
            return ("BRANCH", [self.prepared(part, flags) for part in parts(node)])
        if name in ("ASSERT", "ASSERT_NOT") and argument[0] > 0:
            return ("AHEAD", (name == "ASSERT", self.prepared(argument[1], flags)))
        if name == "AT":
            return ("PLACE", self._tree.compile([("SUBPATTERN", (None, *flags, [node]))]))
        return ("BRANCH", []) if name == "FAILURE" else ("PASS", None)

    def _prepared_repeat(self, node: Node, flags: tuple[int, int]) -> Node:
        name, (least, most, body) = node
        inner = self.prepared(body, flags)
        if len(inner) == 1 and inner[0][0] == "CHARACTER":
            made: Node = ("RUN", (least, most, name != "MIN_REPEAT", inner[0][1]))
        else:
            made = ("MIN_REPEAT" if name == "MIN_REPEAT" else "MAX_REPEAT", (least, most, inner))
        return ("FIRST", [made]) if name == "POSSESSIVE_REPEAT" else made

    def _read(self, node: Node, flags: tuple[int, int]) -> str:
        key = repr((node, flags))
        if key not in self._known:
            one = self._tree.compile([("SUBPATTERN", (None, *flags, [node]))])
            self._known[key] = "".join(filter(one.match, self._letters))
        return self._known[key]

    def texts(self, nodes: list[Node]) -> list[tuple[str, str, str]]:
        """Return texts to try: what stands before a repeat, what is repeated, what breaks off."""
        prefixes = dict.fromkeys(("", *_before_repeats(nodes, "")))
        pumps = dict.fromkeys((*_bodies(nodes), *self._letters))
        suffixes = ("\x00\n", *self._letters)
        found = [made for made in product(prefixes, pumps, suffixes) if made[2] != made[1]]
        return sorted(found, key=lambda made: (suffixes.index(made[2]), len(made[0])))


def _literals(nodes: list[Node]) -> Iterator[str]:
    for name, argument in walk(nodes):
        if name in ("LITERAL", "NOT_LITERAL"):
            yield chr(argument)
        elif name == "IN":
            for kind, value in argument:
                if str(kind) == "LITERAL":
                    yield chr(value)
                elif str(kind) == "RANGE":
                    yield from (chr(value[0]), chr(value[1]))


def _witness(nodes: list[Node]) -> str:
    """Return a short text that `nodes` read, look-around not counted."""
    made = ""
    for name, argument in nodes:
        if name == "CHARACTER":
            made += argument[:1]
        elif name == "RUN":
            made += argument[3][:1] * min(argument[0], _LARGE)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            made += _witness(argument[2]) * min(argument[0], _LARGE)
        elif name == "FIRST":
            made += _witness(argument)
        elif name == "BRANCH" and argument:
            made += _witness(argument[0])
    return made


def _inner(node: Node) -> list[list[Node]]:
    name, argument = node
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        return [argument[2]]
    if name == "AHEAD":
        return [argument[1]]
    if name == "FIRST":
        return [argument]
    return argument if name == "BRANCH" else []


def _is_large(node: Node) -> bool:
    return node[0] in ("RUN", "MAX_REPEAT", "MIN_REPEAT") and node[1][1] >= _LARGE


def _before_repeats(nodes: list[Node], before: str) -> Iterator[str]:
    for node in nodes:
        if _is_large(node):
            yield before
        for part in _inner(node):
            yield from _before_repeats(part, before)
        before += _witness([node])


def _bodies(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        if _is_large(node) and node[0] != "RUN":
            # One with each optional part, one without.
            yield _witness(node[1][2])
            yield "".join(_witness([_once(inner)]) for inner in node[1][2])
        for part in _inner(node):
            yield from _bodies(part)


def _once(node: Node) -> Node:
    name, argument = node
    if name == "RUN" and argument[0] == 0:
        return (name, (1, *argument[1:]))
    if name in ("MAX_REPEAT", "MIN_REPEAT") and argument[0] == 0:
        return (name, (1, *argument[1:]))
    return node
