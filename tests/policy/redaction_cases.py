"""Random rules, texts and cuts for redaction; as a module it runs many: `python -m tests.policy.redaction_cases 200000`."""

from __future__ import annotations

import random
import re
import sys
import warnings
from collections.abc import Iterator, Sequence

from dockrion.patterns.cost import explodes
from dockrion.patterns.tree import Tree
from dockrion.policy.redaction import REDACTED, RedactionRules, StreamRedactor

LETTERS = "abAB1 \n-é"
_CHARACTERS = (
    *("a", "b", "a", "b", "[ab]", "1", " ", "-", "\\n", "é", "B", ".", "\\w", "\\d", "\\s"),
    *("\\W", "\\D", "[^a]", "[a-b1]", "[^\\w]", "[-1 ]"),
)
_BEHIND = (
    "a",
    "[ab]",
    "\\w",
    "\\b",
    "^",
    "ab",
    "^a",
    "a\\b",
    "\\s1",
    "$",
    "(?=a)",
    "a(?=b1)",
    "1$",
)
_REPEATS = ("*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,2}")
_PLACES = ("^", "$", "\\b", "\\B", "\\A", "\\Z")
# Alone, on such short texts, a rule may take exponential time; a chain makes texts longer.
_LONGEST = 200
# How many cases the module tries between two lines.
PART = 20_000
_GLOBAL_FLAGS = ("", "", "", "", "(?i)", "(?s)", "(?m)", "(?a)", "(?im)", "(?x)")


class Rules:
    """Makes rules of every construct that `re` knows."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._groups = 0

    def rule(self) -> str:
        while True:
            self._groups = 0
            made = self._chance.choice(_GLOBAL_FLAGS) + self._part(3)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    re.compile(made)
                    if Tree(made).least:
                        return made
            except re.error:
                continue

    def _part(self, depth: int) -> str:
        chance = self._chance
        kind = chance.random()
        if depth == 0 or kind < 0.25:
            return chance.choice(_CHARACTERS)
        if kind < 0.45:
            return "".join(self._part(depth - 1) for _ in range(chance.randint(2, 3)))
        if kind < 0.58:
            return f"(?:{'|'.join(self._part(depth - 1) for _ in range(chance.randint(2, 3)))})"
        if kind < 0.76:
            body = self._part(depth - 1)
            body = body if len(body) == 1 else f"(?:{body})"
            return body + chance.choice(_REPEATS) + chance.choice(("", "", "", "?", "+"))
        if kind < 0.90:
            opening = "(?>" if kind < 0.80 else chance.choice(("(?=", "(?!"))
            if kind >= 0.86:
                return f"{chance.choice(('(?<=', '(?<!'))}{chance.choice(_BEHIND)})"
            return f"{opening}{self._part(depth - 1)})"
        if kind < 0.95:
            return chance.choice(_PLACES)
        if kind < 0.97:
            return f"(?{chance.choice(('i', 's', 'm', '-i', 'x'))}:{self._part(depth - 1)})"
        return self._group(depth, again=kind < 0.985)

    def _group(self, depth: int, *, again: bool) -> str:
        self._groups += 1
        group = self._groups
        body = self._part(depth - 1)
        if again:
            return f"({body}){self._chance.choice(('', '', '-', 'a', '.'))}\\{group}"
        return f"({body})?{self._part(0)}(?({group}){self._part(0)}|{self._part(0)})"


def whole(rules: Sequence[str], text: str) -> str:
    """Redact as the contract says, by `re` alone."""
    for rule in rules:
        text = re.sub(rule, lambda _: REDACTED, text)
    return text


def streamed(redactor: StreamRedactor, pieces: Sequence[str]) -> str:
    return "".join([*map(redactor.feed, pieces), redactor.flush()])


def cuts(chance: random.Random, text: str) -> Iterator[str]:
    """Yield the pieces of a random cut of `text`."""
    longest = chance.choice((1, 2, 4, 30))
    at = 0
    while at < len(text):
        length = chance.randint(1, longest)
        yield text[at : at + length]
        at += length


def differences(seed: int, cases: int) -> Iterator[str]:
    """Try `cases` texts and yield what went wrong."""
    chance = random.Random(seed)
    tried = 0
    while tried < cases:
        rules = _chain(chance)
        compiled = RedactionRules(rules, max_held=1 << 20)
        for _ in range(20):
            text = "".join(chance.choices(LETTERS, k=chance.randint(0, 14)))
            pieces = list(cuts(chance, text))
            texts = [whole(rules[:number], text) for number in range(len(rules) + 1)]
            if max(map(len, texts)) > _LONGEST:
                continue
            expected = texts[-1]
            redactor = compiled.stream()
            found = streamed(redactor, pieces)
            if not found == compiled.redact(text) == expected:
                yield f"{rules} on {pieces}: {found!r}, should be {expected!r}"
            tried += 1


def _chain(chance: random.Random) -> list[str]:
    length = chance.choice((1, 1, 2, 3))
    rules: list[str] = []
    while len(rules) < length:
        rule = Rules(chance).rule()
        # The others are refused, and would take for ever here.
        if not explodes(Tree(rule), in_pieces=True):
            rules.append(rule)
    return rules


def realistic_texts(count: int) -> list[str]:
    chance = random.Random(20)
    words = [
        "please",
        "send",
        "the",
        "report",
        "to",
        "our",
        "team",
        "in",
        "Zürich",
        "before",
        "noon,",
        "thanks!",
        "学",
        "x_1",
        "well-known",
    ]
    secrets = (
        *("ann.lee+tag@mail.example.com", "123-45-6789", "4111 1111 1111 1111", "4111111111111111"),
        *(
            "sk-abcdefghijklmnopqrstuvwx",
            "sk-short",
            "12-345",
            "a@b",
            "1234-5678-9012-345",
            "@",
            "sk-",
        ),
    )
    return [
        chance.choice((" ", " ", "\n", ", ")).join(
            chance.choice(secrets) if chance.random() < 0.3 else chance.choice(words)
            for _ in range(chance.randint(3, 12))
        )
        for _ in range(count)
    ]


def main() -> None:
    seed, cases, differing = random.randrange(1 << 30), int(sys.argv[1]), 0
    for part in range(0, cases, PART):
        for difference in differences(seed + part, min(PART, cases - part)):
            differing += 1
            print(difference, flush=True)
        print(f"{min(part + PART, cases)} of {cases} cases, {differing} differences", flush=True)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
