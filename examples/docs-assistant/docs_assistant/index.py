"""Which passages answer a question: BM25 over the stems of their words, and how much of the question they cover."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

import bm25s
import snowballstemmer
from bm25s.stopwords import STOPWORDS_EN_PLUS

from docs_assistant.passages import Passage

# Words of questions that say nothing about what is asked.
_FILLERS = frozenset(
    {"explain", "get", "give", "happen", "happens", "know", "many", "mean", "much", "need", "use"}
)
_IGNORED = frozenset(STOPWORDS_EN_PLUS) | _FILLERS
# It asks for its own debug lines, whatever the process wants to log.
logging.getLogger("bm25s").setLevel(logging.WARNING)
_WORD = re.compile(r"\w+")


class Index:
    """Passages by their words. A passage is found by those of its headings, too."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        words = [self.words(f"{passage['heading']}\n{passage['text']}") for passage in passages]
        self._sections: dict[tuple[str, str], set[str]] = {}
        for passage, found in zip(passages, words, strict=True):
            self._sections.setdefault((passage["file"], passage["heading"]), set()).update(found)
        self._in_passages = Counter(word for found in words for word in set(found))
        self._bm25: Any = cast("Any", bm25s).BM25()
        self._bm25.index(words, show_progress=False)

    def search(self, question: str, *, limit: int) -> list[tuple[Passage, float]]:
        """Return the passages that share words with the question and their scores, best first."""
        known = [word for word in self.words(question) if word in self._in_passages]
        if not known:
            return []
        scores: list[float] = self._bm25.get_scores(known).tolist()
        best = sorted(range(len(scores)), key=lambda place: -scores[place])[:limit]
        return [(self.passages[at], round(scores[at], 3)) for at in best if scores[at] > 0]

    def coverage(self, question: str, passage: Passage) -> float:
        """Return how much of the question the passage's section speaks of, 0 to 1; rare words weigh more."""
        section = self._sections[passage["file"], passage["heading"]]
        return self._share(question, section)

    def overlap(self, question: str, text: str) -> float:
        """Return how much of the question is in `text` itself, 0 to 1."""
        return self._share(question, self.words(text))

    def words(self, text: str) -> list[str]:
        """Return the stems of the words that matter; of `max_body_bytes`, those of its parts, too."""
        whole = _WORD.findall(text.lower())
        parts = [part for word in whole if "_" in word for part in word.split("_") if part]
        # A stemmer holds the word that it is at, so threads must not share one; making one costs next to nothing.
        stemmer: Any = cast("Any", snowballstemmer).stemmer("english")
        return stemmer.stemWords([word for word in whole + parts if word not in _IGNORED])

    def _share(self, question: str, words: Iterable[str]) -> float:
        asked = set(self.words(question))
        total = sum(map(self._weight, asked))
        return sum(map(self._weight, asked.intersection(words))) / total if total else 0.0

    def _weight(self, word: str) -> float:
        return math.log((1 + len(self.passages)) / (1 + self._in_passages[word]))
