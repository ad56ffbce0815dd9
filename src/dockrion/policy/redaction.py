"""Redaction of text that arrives in pieces: the same as `re.sub` on the whole, and as early as can be.

Each rule is a stage; what leaves one is what the next reads. A stage holds text back from the earliest start at which
an attempt of its rule could still become a match, and decides everything before it. All decisions hang on places in the
text, none on how it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy

from dockrion.patterns.prefix import later_start, needed, outside, prefix_closure
from dockrion.patterns.tree import Node, Tree, look_behind

REDACTED = "[REDACTED]"
MAX_HELD = 1024
# What the policy is called where violations are counted.
REDACTION_RULE = "redaction"
# More held text than that is looked at when so many characters have come.
LONG_HELD = 256
LONG_STEP = 16
_WORTH_A_SEARCH = 64


class RedactionRules:
    """The rules of one app, in their order. Can be shared between threads."""

    def __init__(self, patterns: Sequence[str], *, max_held: int = MAX_HELD) -> None:
        self._rules = tuple(_Rule(pattern, max_held) for pattern in patterns)

    def redact(self, text: str) -> str:
        """Redact a whole text; the very same object comes back when no rule has anything to say."""
        for rule in self._rules:
            if len(text) <= rule.max_held and rule.has_no_match(text):
                continue
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

    def copy(self) -> StreamRedactor:
        """Return one that has read the same, to find out what comes next."""
        return StreamRedactor([copy(stage) for stage in self._stages])

    def flush(self) -> str:
        """Return what is left, redacted: the text has ended."""
        text = ""
        for stage in self._stages:
            text = stage.feed(text) + stage.flush()
        return text

    @property
    def matched(self) -> bool:
        """Whether a rule has matched, or has reached the cap, known before anything around that leaves. Stays true."""
        return any(stage.matched for stage in self._stages)

    @property
    def held(self) -> bool:
        """Whether text is held back now, or dropped because it was held for too long."""
        return any(stage.held for stage in self._stages)


class _Rule:
    """One pattern, compiled for what a stage asks."""

    __slots__ = (
        "_alive_later",
        "_later",
        "_whole",
        "alive",
        "behind",
        "match",
        "max_held",
        "needed",
        "outside",
    )

    def __init__(self, pattern: str, max_held: int) -> None:
        tree = Tree(pattern)
        alive = prefix_closure(tree)
        compiled = tree.compile(tree.nodes)
        self.match = compiled.match
        self._whole = compiled.search
        self.alive = tree.compile(alive).match
        self.outside = tree.compile(outside(tree)).search
        self.needed = needed(tree)
        # One more than look-behind sees, so that `^` never takes the place where old text was dropped for the start.
        self.behind = look_behind(tree.nodes) + 1
        self.max_held = max_held
        later = later_start(tree)
        first: list[Node] = [("ASSERT_NOT", (-1, later[0][1][1]))] if later else []
        self._later = tree.compile([*first, *tree.nodes]).search
        self._alive_later = tree.compile([*first, *alive]).search

    def has_no_match(self, text: str) -> bool:
        """Whether a text that is not long has none."""
        return self._whole(text) is None

    def search(self, text: str, start: int) -> re.Match[str] | None:
        """Return the first match at `start` or after it."""
        return self.match(text, start) or self._later(text, start + 1)

    def alive_from(self, text: str, start: int) -> int:
        """Return the first place after `start` where an attempt can still become a match."""
        later = start + 1
        if len(text) - start > _WORTH_A_SEARCH:
            # What ends all attempts before it need not be reached from each of their starts.
            while ended := self.outside(text, later):
                later = ended.end()
        found = self._alive_later(text, later)
        return found.start() if found else len(text)


class _Stage:
    """One rule on one text. `_text[_held_from:]` is held; what is before it has left and stays for look-behind."""

    __slots__ = ("_held_from", "_rule", "_swallowing", "_text", "_unread", "changed", "matched")

    _text: str
    _held_from: int

    def __init__(self, rule: _Rule) -> None:
        self._rule = rule
        self.matched = False
        self.changed = False
        self._text = ""
        self._held_from = 0
        self._swallowing = False
        # At the end of `_text`, what has not been looked at yet.
        self._unread = 0

    @property
    def held(self) -> bool:
        return self._swallowing or self._held_from < len(self._text)

    def feed(self, text: str) -> str:
        held = len(self._text) - self._held_from
        room = self._rule.max_held + 1 - held
        if len(text) <= room and not self._swallowing:
            if held > LONG_HELD and len(text) < room:
                # To read so much again for every character would take the better part of a second for 100 KB.
                self._unread += len(text)
                if self._unread < LONG_STEP:
                    self._text += text
                    return ""
            self._unread = 0
            return self._read(text)
        self._unread = 0
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
        rest, _ = self._settled(self._text, self._held_from, len(self._text))
        self._text = ""
        self._held_from = 0
        self._swallowing = False
        self._unread = 0
        return rest

    def _read(self, text: str) -> str:
        rule = self._rule
        text = self._text + text
        at = self._held_from
        out = ""
        # What has just been decided is taken first: starts inside a match need not be looked at.
        while not rule.alive(text, at):
            found = rule.match(text, at)
            if found is None:
                more, at = self._settled(text, at, rule.alive_from(text, at))
                out += more
                break
            self.matched = self.changed = True
            out += REDACTED
            at = found.end()
        if len(text) - at > rule.max_held:
            self._swallowing = self.matched = self.changed = True
            at = len(text)
            out += REDACTED
        drop = at - rule.behind
        if drop > 0:
            self._text = text[drop:]
            self._held_from = rule.behind
        else:
            self._text = text
            self._held_from = at
        return out

    def _settled(self, text: str, at: int, stop: int) -> tuple[str, int]:
        """Redact what starts before `stop`; return it and where it ends."""
        if self._rule.needed not in text:
            return text[at:stop], stop
        out = ""
        while at < stop and (found := self._next(text, at, stop)):
            self.matched = self.changed = True
            out += text[at : found.start()] + REDACTED
            at = found.end()
        return out + text[at:stop], max(at, stop)

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
