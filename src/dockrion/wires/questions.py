"""Questions of agents, and what users say to them, in protocols whose pages send the answers with a new request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from dockrion.events.ids import SEQUENCE

# The id of a run has no `@`.
_PLACE: Final = re.compile(rf"([^@]+)(?:@({SEQUENCE}))?")


class QuestionId(NamedTuple):
    """A question as the page knows it: the run that goes on when it is answered is in its id, and, where that is known
    when the page is told, how many of its events the page has heard then.
    """

    run_id: str
    interrupt_id: str
    heard: int | None = None

    def __str__(self) -> str:
        heard = "" if self.heard is None else f"@{self.heard}"
        return f"{self.run_id}{heard}:{self.interrupt_id}"

    @classmethod
    def read(cls, text: str) -> QuestionId | None:
        place, colon, interrupt_id = text.partition(":")
        found = _PLACE.fullmatch(place)
        if found is None or not (colon and interrupt_id):
            return None
        run_id, heard = found.groups()
        return cls(run_id, interrupt_id, None if heard is None else int(heard))


class Answer(msgspec.Struct, frozen=True):
    """What the user says to one question; `given` is false where they would not. `heard` is as in a question's id."""

    question: QuestionId
    given: bool
    value: Any
    heard: int | None = None


def begins_after(answers: Sequence[Answer], run_id: str) -> int:
    """Return after how many events of a run the stream begins that answers to its questions are answered with."""
    if not answers or answers[0].question.run_id != run_id:
        return 0
    return answers[0].heard or 0
