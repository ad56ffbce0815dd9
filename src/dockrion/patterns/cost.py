"""How long a pattern can take, counted: a small backtracking matcher that reads made-up texts and counts its steps.

`re` gives no count and cannot be stopped, and times differ between machines. So attempts are made here in the order in
which `re` makes them, on texts that repeat what the pattern repeats and then break off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice, product

from dockrion.patterns.prefix import prefix_closure
from dockrion.patterns.tree import CHARACTERS, REPEATS, Node, Tree, parts, walk

_LEAST, _SHORT, _LONG = 4, 16, 64
_GROWTH = 8  # from 4 rounds to 64, against from 4 to 16: 5 times the steps if linear, 17 times if quadratic
_WORTH_A_LOOK = 1000
_STEPS = 20_000
# Of so many rounds, the square with room to spare; the cube is more.
_FEW = 24
_FEW_STEPS = 8_000
_TEXTS, _MORE_TEXTS = 40, 16
_NODES = 100_000
_ALL_STEPS = 4_000_000  # about a second
_SAMPLES = "aZ0_ -\n.,:;@/=+(é一\x00\U0010ffff"


def explodes(tree: Tree, *, in_pieces: bool = False) -> bool:
    """Tell whether one attempt of the pattern, or of its prefix closure too, can take more than linear time.

    Raises OverflowError when the pattern is too large to tell.
    """
    sample = _Sample(tree)
    match = sample.prepared(tree.nodes)
    alive = sample.prepared(prefix_closure(tree)) if in_pieces else []
    return _Trial(match, alive).finds_steep(sample.texts(match))


class _Trial:
    """A match and a prefix closure on one text after the other; the steps of all of them are limited, too."""

    def __init__(self, match: list[Node], alive: list[Node]) -> None:
        self._match = match
        self._alive = alive
        self._left = _ALL_STEPS

    def finds_steep(self, texts: Iterable[tuple[str, str, str]]) -> bool:
        return any(self._steep(*made) for made in texts)

    def _steep(self, prefix: str, pump: str, suffix: str) -> bool:
        least, short, long = (prefix + pump * rounds + suffix for rounds in (_LEAST, _SHORT, _LONG))
        if self._grows(self._match, least, short, long):
            return True
        end = _Attempt(long).end(self._match)
        if end is None or end * 2 < len(long):
            return bool(self._alive) and self._grows(self._alive, least, short, long)
        # What an attempt reads to the end and then takes away as a match is read once more and not again: that may
        # take the square of its length.
        base = self._steps(self._alive, prefix + suffix) if prefix else 0
        return self._steps(self._alive, prefix + pump * _FEW + suffix) - base > _FEW_STEPS

    def _grows(self, nodes: list[Node], least: str, short: str, long: str) -> bool:
        # What comes before the repeat costs the same each time and would hide how the rest grows.
        base = self._steps(nodes, least)
        before = self._steps(nodes, short)
        if before >= _STEPS:
            return True
        after = self._steps(nodes, long) - base
        return after > _WORTH_A_LOOK and after > _GROWTH * (before - base)

    def _steps(self, nodes: list[Node], text: str) -> int:
        attempt = _Attempt(text)
        attempt.end(nodes)
        self._left -= min(attempt.steps, _STEPS)
        if self._left < 0:
            raise OverflowError("too many texts to try")
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
        # Characters one after the other go by a loop: long words must not need a deep stack.
        while first < len(nodes) and nodes[first][0] == "CHARACTER":
            self._count(1)
            if at >= len(self._text) or self._text[at] not in nodes[first][1]:
                return
            first, at = first + 1, at + 1
        if first == len(nodes):
            yield at
            return
        for end in self._one(nodes[first], at):
            yield from self._all(nodes, first + 1, end)

    def _one(self, node: Node, at: int) -> Iterator[int]:
        self._count(1)
        name, argument = node
        if name == "RUN":
            yield from self._run(argument, at)
        elif name in ("MAX_REPEAT", "MIN_REPEAT"):
            yield from self._repeat(node, 0, at)
        elif name == "FIRST":
            yield from list(self._first(argument, at))
        elif name == "AHEAD":
            wanted, body = argument
            if (next(self._all(body, 0, at), None) is not None) == wanted or wanted is None:
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
        self._groups: dict[int, tuple[list[Node], tuple[int, int]]] = {}
        self._repeats = 0
        self._left = _NODES
        self._letters = _SAMPLES + "".join(_literals(tree.nodes))
        seen: dict[tuple[bool, ...], str] = {}
        self.prepared(tree.nodes)
        for letter in self._letters:
            seen.setdefault(tuple(letter in read for read in self._known.values()), letter)
        self._letters = "".join(seen.values())
        self._known.clear()
        self._left = _NODES

    def prepared(self, nodes: list[Node], flags: tuple[int, int] = (0, 0)) -> list[Node]:
        """Return the nodes with every character as the letters that it reads."""
        return [self._prepared(node, flags) for node in nodes]

    def _prepared(self, node: Node, flags: tuple[int, int]) -> Node:
        self._left -= 1
        if self._left < 0:
            raise OverflowError("too many nodes")
        name, argument = node
        if name in CHARACTERS:
            return ("CHARACTER", self._read(node, flags))
        if name in REPEATS:
            return self._prepared_repeat(node, flags)
        if name == "SUBPATTERN":
            add, drop = argument[1:3]
            inner = ((flags[0] | add) & ~drop, (flags[1] | drop) & ~add)
            if argument[0] is not None:
                self._groups.setdefault(argument[0], (argument[3], inner))
            return ("BRANCH", [self.prepared(argument[3], inner)])
        if name == "GROUPREF" and argument in self._groups:
            # It reads one of the texts that its group reads.
            return ("BRANCH", [self.prepared(*self._groups[argument])])
        if name == "ATOMIC_GROUP":
            return ("FIRST", self.prepared(argument, flags))
        if name in ("BRANCH", "GROUPREF_EXISTS"):
            return ("BRANCH", [self.prepared(part, flags) for part in parts(node)])
        if name in ("ASSERT", "ASSERT_NOT") and argument[0] > 0:
            # Outside of repeats it could only keep a made-up text from the repeats behind it.
            wanted = (name == "ASSERT") if self._repeats else None
            return ("AHEAD", (wanted, self.prepared(argument[1], flags)))
        if name == "AT":
            return ("PLACE", self._tree.compile([("SUBPATTERN", (None, *flags, [node]))]))
        return ("BRANCH", []) if name == "FAILURE" else ("PASS", None)

    def _prepared_repeat(self, node: Node, flags: tuple[int, int]) -> Node:
        name, (least, most, body) = node
        self._repeats += 1
        inner = self.prepared(body, flags)
        self._repeats -= 1
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

    def texts(self, nodes: list[Node]) -> Iterator[tuple[str, str, str]]:
        """Yield texts to try: what stands before a repeat, what is repeated, what breaks off."""
        suffixes = ("\x00\n", *self._letters)
        repeats = list(_repeats(nodes, ""))
        own = dict.fromkeys((before, pump) for before, node in repeats for pump in _pumps(node))
        for prefix, pump in own:
            yield prefix, pump, _breaking(nodes, prefix + pump * _LEAST, suffixes)
        prefixes = dict.fromkeys(("", *(before for before, _ in repeats)))
        pumps = dict.fromkeys((*(pump for _, pump in own), *self._letters))
        limit = max(_MORE_TEXTS, _TEXTS - len(own))
        more = (
            (prefix, pump, suffix)
            for suffix, prefix, pump in product(suffixes, prefixes, pumps)
            if suffix != pump and (suffix != suffixes[0] or (prefix, pump) not in own)
        )
        yield from islice(more, limit)


def _breaking(nodes: list[Node], text: str, suffixes: tuple[str, ...]) -> str:
    """Return the first suffix that makes the attempt fail, if one does."""
    failing = (suffix for suffix in suffixes if _Attempt(text + suffix).end(nodes) is None)
    return next(failing, suffixes[0])


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
    return "".join(next(_ways(node)) for node in nodes)


def _ways(node: Node) -> Iterator[str]:
    """Yield texts that the node reads: a short one first, then one for each choice that it has."""
    name, argument = node
    if name == "CHARACTER":
        yield from argument or ("",)
    elif name == "RUN":
        for letter in argument[3] or ("",):
            yield from _rounds(letter, argument[0], argument[1])
    elif name in ("MAX_REPEAT", "MIN_REPEAT"):
        for text in _sequences(argument[2]):
            yield from _rounds(text, argument[0], argument[1])
    elif name == "FIRST":
        yield from _sequences(argument)
    elif name == "BRANCH" and argument:
        for part in argument:
            yield from _sequences(part)
    else:
        yield ""


def _sequences(nodes: list[Node]) -> Iterator[str]:
    """Yield the witness, then it with one node after the other read in another way."""
    texts = [next(_ways(node)) for node in nodes]
    yield "".join(texts)
    for index, node in enumerate(nodes):
        for text in islice(_ways(node), 1, None):
            yield "".join((*texts[:index], text, *texts[index + 1 :]))


def _rounds(text: str, least: int, most: int) -> Iterator[str]:
    longest = _STEPS // max(len(text), 1)
    yield text * min(least, longest)
    if least == 0 < most:
        yield text


def _inner(node: Node) -> list[list[Node]]:
    name, argument = node
    if name in ("MAX_REPEAT", "MIN_REPEAT"):
        return [argument[2]]
    if name == "AHEAD":
        return [argument[1]]
    if name == "FIRST":
        return [argument]
    return argument if name == "BRANCH" else []


def _repeats(nodes: list[Node], before: str) -> Iterator[tuple[str, Node]]:
    """Yield each repeat of more than one round with a text that leads to it."""
    for node in nodes:
        if node[0] in ("RUN", "MAX_REPEAT", "MIN_REPEAT") and node[1][1] > 1:
            yield before, node
        for part in _inner(node):
            yield from _repeats(part, before)
        before += _witness([node])


def _pumps(node: Node) -> Iterator[str]:
    name, argument = node
    made = argument[3] if name == "RUN" else _sequences(argument[2])
    return filter(None, made)
