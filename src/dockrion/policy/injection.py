"""Prompt injection: whether the strings of a payload give orders that are not the caller's to give.

A filter of well-known phrases, not a guarantee. `tests/policy/corpus/` has what it must catch and what it must not.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from dockrion.errors import PolicyViolationError, ServiceUnavailableError
from dockrion.events.pointer import pointer_to
from dockrion.patterns.tree import Tree, walk
from dockrion.policy.injection_rules import RULES

logger = logging.getLogger(__name__)

INJECTION_RULE: Final = "prompt_injection"
MAX_FOUND: Final = 20
# A payload with more text than that is searched in a thread: its time is milliseconds.
MAX_CHARS_ON_LOOP: Final = 16_384
CLASSIFIER_SECONDS: Final = 30.0

# What is not seen: format characters (zero width, direction, tags) by their category, and these.
_UNSEEN: Final = frozenset(
    [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, 0x180E]
)  # fmt: skip
_MARKS: Final = re.compile("[\u0300-\u036f]+")
_SPELLED_APART: Final = re.compile(r"(?:\b\w\b[\W_]{1,3}){4,}\w\b")
_NOT_WORD: Final = re.compile(r"[\W_]+")
_LEET: Final = re.compile(r"\b(?=\w{0,30}[a-z])(?=\w{0,30}[0134579])\w{3,30}\b")
_LETTERS: Final = str.maketrans("0134579", "oieastg")
_NEAR_CHARS: Final = 80
WINDOW_CHARS: Final = 8192
# Longer than what a rule can match.
OVERLAP_CHARS: Final = 1024
PATTERN_WINDOW_CHARS: Final = 4096
# In a text longer than a window, matches of extra patterns that are longer than that can be missed.
PATTERN_MATCH_CHARS: Final = 2048
_ASCII_RULES: Final = [
    rule._replace(stems=tuple(filter(str.isascii, rule.stems)))
    for rule in RULES
    if any(map(str.isascii, rule.stems))
]

Classifier = Callable[[str], Any]


class Found(NamedTuple):
    pointer: str
    rule: str


def normalised(text: str) -> str:
    """Return `text` in NFKC, without what cannot be seen, each white space one blank."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(filter(_is_seen, text))
        # What was dropped may have stood between characters that belong together.
        text = unicodedata.normalize("NFKC", text)
    elif not text.isprintable():
        text = "".join(filter(_is_seen, text))
    return " ".join(text.split())


def folded(text: str) -> str:
    """Return normalised text in lower case and without diacritics: what the built-in rules are written for."""
    if text.isascii():
        return text.lower()
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", bare)


class _Pattern:
    """An extra pattern. In a long text it is searched by windows, unless it looks at what follows a match: its
    time may grow with the square of what is searched at once."""

    def __init__(self, pattern: str) -> None:
        self._search = re.compile(pattern).search
        self._by_windows = not any(
            (name == "AT" and argument not in ("AT_BEGINNING", "AT_BEGINNING_STRING"))
            or (name in ("ASSERT", "ASSERT_NOT") and argument[0] == 1)
            for name, argument in walk(Tree(pattern).nodes)
        )

    def matches(self, text: str) -> bool:
        if not self._by_windows:
            return self._search(text) is not None
        return any(
            self._search(text, start, start + PATTERN_WINDOW_CHARS) is not None
            for start in _windows(text, PATTERN_WINDOW_CHARS, PATTERN_MATCH_CHARS)
        )


class InjectionFilter:
    """What `policies.safety` says of payloads; one for all calls of an app.

    `check` raises `PolicyViolationError`, whose details name where and which rule, never the text; and
    `ServiceUnavailableError` when the classifier fails, since then nobody knows.
    """

    def __init__(
        self,
        *,
        patterns: Sequence[str] = (),
        builtin: bool = True,
        classifier: Classifier | None = None,
    ) -> None:
        self._builtin = builtin
        self._patterns = [_Pattern(pattern) for pattern in patterns]
        self._searching = asyncio.Lock()
        self._classifier = classifier

    async def check(self, payload: Any, *, request_id: str | None = None) -> None:
        strings = list(strings_of(payload))
        if sum(len(text) for _, text in strings) <= MAX_CHARS_ON_LOOP:
            found = self.find(strings)
        else:
            # One at a time: a search keeps other threads from running while it lasts.
            async with self._searching:
                found = await asyncio.to_thread(self.find, strings)
        if not found and self._classifier is not None:
            found = await self._classified(strings, self._classifier)
        if found:
            logger.warning(
                "payload refused: prompt injection",
                extra={
                    "rules": sorted({one.rule for one in found}),
                    "request_id": request_id,
                },
            )
            raise PolicyViolationError(
                "The payload holds instructions that are not allowed (policies.safety).",
                details=[one._asdict() for one in found],
                rule=INJECTION_RULE,
            )

    def find(self, strings: Sequence[tuple[str, str]]) -> list[Found]:
        """Return where the built-in rules and the extra patterns match, the first 20."""
        found: list[Found] = []
        for pointer, text in strings:
            rule = self.rule_for(text)
            if rule is not None:
                found.append(Found(pointer, rule))
                if len(found) == MAX_FOUND:
                    break
        return found

    def rule_for(self, text: str) -> str | None:
        """Return the name of the first rule that a string matches."""
        plain = normalised(text)
        if self._builtin and (name := _builtin_rule(plain)) is not None:
            return name
        for index, pattern in enumerate(self._patterns):
            if pattern.matches(plain):
                return f"injection_patterns[{index}]"
        return None

    async def _classified(
        self, strings: Sequence[tuple[str, str]], classifier: Classifier
    ) -> list[Found]:
        try:
            async with asyncio.timeout(CLASSIFIER_SECONDS):
                for pointer, text in strings:
                    if await _asked(classifier, text):
                        return [Found(pointer, "classifier")]
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # SystemExit too: it does not end the server
            logger.error("policies.safety.classifier failed", exc_info=exc)
            raise ServiceUnavailableError("The payload could not be checked; try again.") from exc
        return []


async def _asked(classifier: Classifier, text: str) -> bool:
    if inspect.iscoroutinefunction(classifier):
        return bool(await classifier(text))
    answer = await asyncio.to_thread(classifier, text)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def strings_of(payload: Any) -> Iterator[tuple[str, str]]:
    """Yield each string of a payload, keys too, with its JSON pointer (of a key: that of its value)."""
    pending: list[tuple[str, Any]] = [("", payload)]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, str):
            yield pointer, value
        elif isinstance(value, dict):
            for key, item in cast("dict[str, Any]", value).items():
                here = pointer + pointer_to((key,))
                yield here, key
                pending.append((here, item))
        elif isinstance(value, list):
            pending += [
                (pointer + pointer_to((at,)), item)
                for at, item in enumerate(cast("list[Any]", value))
            ]


def _builtin_rule(plain: str) -> str | None:
    text = folded(plain)
    # A search holds up every other thread until it returns, so a long text is no single one.
    for start in _windows(text, WINDOW_CHARS, OVERLAP_CHARS):
        name = _rule_of_window(text[start : start + WINDOW_CHARS])
        if name is not None:
            return name
    return None


def _windows(text: str, size: int, overlap: int) -> range:
    """Return where windows over the whole text start; a text that is not longer than one has one."""
    return range(0, max(1, len(text) - overlap), size - overlap)


def _rule_of_window(text: str) -> str | None:
    name = _match(text)
    if name is None and (apart := _SPELLED_APART.search(text)) is not None:
        name = _match(_NOT_WORD.sub("", text[apart.start() :][:400]))
    if name is None and _LEET.search(text) is not None:
        name = _match(_LEET.sub(lambda word: word[0].translate(_LETTERS), text))
    return name


def _match(text: str) -> str | None:
    for rule in _ASCII_RULES if text.isascii() else RULES:
        for stem in rule.stems:
            if stem in text:
                break
        else:
            continue
        found = rule.pattern.search(text)
        if found is None:
            continue
        if rule.unless is not None:
            near = text[max(0, found.start() - _NEAR_CHARS) : found.end() + _NEAR_CHARS]
            if rule.unless.search(near) is not None:
                continue
        return rule.name
    return None


def _is_seen(character: str) -> bool:
    if ord(character) in _UNSEEN:
        return False
    category = unicodedata.category(character)
    return category != "Cf" and (category != "Cc" or character.isspace())
