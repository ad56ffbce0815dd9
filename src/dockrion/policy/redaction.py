"""Redaction of text that arrives in pieces: the same as `re.sub` on the whole, and as early as can be.

Each rule is a stage; what leaves one is what the next reads. A stage holds text back from the earliest start at which
an attempt of its rule could still become a match, and decides everything before it. All decisions hang on places in the
text, none on how it was cut.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from dockrion.patterns.prefix import outside, prefix_closure
from dockrion.patterns.tree import Tree, look_behind

REDACTED = "[REDACTED]"
MAX_HELD = 1024


class RedactionRules:
    """The rules of one app, in their order. Can be shared between threads."""

    def __init__(self, patterns: Sequence[str], *, max_held: int = MAX_HELD) -> None:
        self._rules = tuple(_Rule(pattern, max_held) for pattern in patterns)

    def redact(self, text: str) -> str:
        """Redact a whole text; the very same object comes back when no rule has anything to say."""
        for rule in self._rules:
            stage = _Stage(rule)
            out = stage.feed(text) + stage.flush()
            if stage.changed:
                text = out
        return text

    def matches(self, text: str) -> bool:
        """Tell whether `redact` would change the text."""
        return self.redact(text) is not text

    def stream(self) -> StreamRedactor:
        """Return what redacts the text of one channel."""
        return StreamRedactor([_Stage(rule) for rule in self._rules])


class StreamRedactor:
    """Redacts one text that arrives in pieces. After `flush` it can be used for another one."""

    def __init__(self, stages: Sequence[_Stage]) -> None:
        self._stages = stages
        self._feeds = tuple(stage.feed for stage in stages)

    def feed(self, text: str) -> str:
        """Return what can leave now."""
        for feed in self._feeds:
            if not text:
                return text
            text = feed(text)
        return text

    def flush(self) -> str:
        """Return what is left, redacted: the text has ended."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.flush()
        return text

    @property
    def matched(self) -> bool:
        """Whether a rule has matched, known before anything around the match leaves. Stays true."""
        return any(stage.matched for stage in self._stages)

    @property
    def held(self) -> bool:
        """Whether text is held back now."""
        return any(stage.held for stage in self._stages)


class _Rule:
    """One pattern, compiled for what a stage asks."""

    __slots__ = ("alive", "behind", "match", "max_held", "outside", "search")

    def __init__(self, pattern: str, max_held: int) -> None:
        tree = Tree(pattern)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            compiled = re.compile(pattern)
        self.search = compiled.search
        self.match = compiled.match
        self.alive = tree.compile(prefix_closure(tree)).search
        self.outside = tree.compile(outside(tree)).search
        # One more than look-behind sees, so that `^` never takes the place where old text was dropped for the start.
        self.behind = look_behind(tree.nodes) + 1
        self.max_held = max_held


class _Stage:
    """One rule on one text. `_text[_held_from:]` is held; what is before it has left and stays for look-behind."""

    __slots__ = ("_held_from", "_rule", "_swallowing", "_text", "changed", "matched")

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule
        self.matched = False
        self.changed = False
        self._reset()

    def _reset(self) -> None:
        self._text = ""
        self._held_from = 0
        self._swallowing = False

    @property
    def held(self) -> bool:
        return self._held_from < len(self._text)

    def feed(self, text: str) -> str:
        room = self._rule.max_held + 1 - len(self._text) + self._held_from
        if len(text) <= room and not self._swallowing:
            return self._read(text)
        out: list[str] = []
        at = 0
        while at < len(text):
            if self._swallowing:
                at = self._swallow(text, at)
                continue
            # Held text is looked at when it is just too long, so the cap does not depend on the cuts.
            room = self._rule.max_held + 1 - len(self._text) + self._held_from
            out.append(self._read(text[at : at + room]))
            at += room
        return "".join(out)

    def flush(self) -> str:
        rest = self._settled(self._text, len(self._text)) if self.held else ""
        self._reset()
        return rest

    def _read(self, text: str) -> str:
        rule = self._rule
        text = self._text + text
        held_from = self._held_from
        found = rule.alive(text, held_from)
        assert found is not None, "the closure matches the empty end"
        alive_from = found.start()
        if alive_from == held_from:
            self._text = text
            out = ""
        else:
            out = self._settled(text, alive_from)
            held_from = self._held_from
        if len(text) - held_from > rule.max_held:
            self._swallowing = self.changed = True
            held_from = len(text)
            out += REDACTED
        keep = held_from - rule.behind
        if keep > 0:
            self._text = text[keep:]
            self._held_from = rule.behind
        else:
            self._text = text
            self._held_from = held_from
        return out

    def _settled(self, text: str, alive_from: int) -> str:
        """Redact all that starts before `alive_from`, and hold what is after it."""
        at = self._held_from
        out = ""
        while at < alive_from and (found := self._next(text, at, alive_from)):
            self.matched = self.changed = True
            out += text[at : found.start()] + REDACTED
            at = found.end()
        if at < alive_from:
            out += text[at:alive_from]
            at = alive_from
        self._held_from = at
        return out

    def _next(self, text: str, start: int, stop: int) -> re.Match[str] | None:
        """Return the first match that starts before `stop`."""
        # Starts that are searched in vain come again; so there must not be more of them than of the others.
        if len(text) - stop <= stop - start:
            found = self._rule.search(text, start)
            return found if found and found.start() < stop else None
        for at in range(start, stop):
            if found := self._rule.match(text, at):
                return found
        return None

    def _swallow(self, text: str, at: int) -> int:
        """Return where text may leave again, which is at the first character that no attempt can read."""
        found = self._rule.outside(text, at)
        end = found.start() if found else len(text)
        self._swallowing = found is None
        seen = (self._text + text[at:end])[-self._rule.behind :]
        self._text = seen
        self._held_from = len(seen)
        return end
