"""Answers without a model: sentences of the passages as they stand there, each with the number of its source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TypedDict

from docs_assistant.index import Index
from docs_assistant.passages import Passage

NOTHING_FOUND = "Nothing in these documents answers that."
_SENTENCES_QUOTED = 3
_SENTENCE_END = re.compile(r"(?<=[.!?:]) +(?=[A-Z0-9`*\[])")


class Source(TypedDict):
    file: str
    heading: str
    line: int


def quotes(question: str, passages: Sequence[Passage], index: Index) -> Iterator[str]:
    """Yield one quote of each passage, as Markdown."""
    numbers = _numbers(passages)
    for passage in passages:
        source = f"[{numbers[_place(passage)]}]"
        if passage["is_code"]:
            yield f"```\n{passage['text']}\n```\n{source}\n\n"
        else:
            yield f"> {_fitting_sentences(question, passage['text'], index)} {source}\n\n"


def sources_of(passages: Sequence[Passage]) -> list[Source]:
    """Return the sections that the passages are from, each once, in the order of their numbers."""
    first: dict[tuple[str, str], Source] = {}
    for passage in passages:
        source = Source(file=passage["file"], heading=passage["heading"], line=passage["line"])
        first.setdefault(_place(passage), source)
    return list(first.values())


def source_list(sources: Sequence[Source]) -> str:
    lines = [
        f"[{number}] {source['file']}, {source['heading']}"
        for number, source in enumerate(sources, start=1)
    ]
    return "\n".join(["Sources:", *lines])


def numbered(passages: Sequence[Passage]) -> str:
    """Return the passages as a model is shown them, under the numbers of their sources."""
    numbers = _numbers(passages)
    return "\n\n".join(
        f"[{numbers[_place(passage)]}] {passage['file']}, {passage['heading']}:\n{passage['text']}"
        for passage in passages
    )


def _numbers(passages: Sequence[Passage]) -> dict[tuple[str, str], int]:
    places = dict.fromkeys(_place(passage) for passage in passages)
    return {place: number for number, place in enumerate(places, start=1)}


def _place(passage: Passage) -> tuple[str, str]:
    return passage["file"], passage["heading"]


def _fitting_sentences(question: str, text: str, index: Index) -> str:
    """Return the passage, or of a long one the sentences that say most of what is asked, in their order."""
    sentences = _SENTENCE_END.split(text)
    if len(sentences) <= _SENTENCES_QUOTED:
        return text
    order = sorted(range(len(sentences)), key=lambda at: -index.overlap(question, sentences[at]))
    chosen = sorted(order[:_SENTENCES_QUOTED])
    quote = sentences[chosen[0]]
    for before, at in pairwise(chosen):
        quote += f" {sentences[at]}" if at == before + 1 else f" … {sentences[at]}"
    return quote
