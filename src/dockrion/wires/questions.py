"""Questions of agents, and what users say to them, in protocols whose pages send the answers with a new request."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class QuestionId(NamedTuple):
    """A question as the page knows it: the run that goes on when it is answered is in its id."""

    run_id: str
    interrupt_id: str

    def __str__(self) -> str:
        return f"{self.run_id}:{self.interrupt_id}"

    @classmethod
    def read(cls, text: str) -> QuestionId | None:
        run_id, colon, interrupt_id = text.partition(":")
        return cls(run_id, interrupt_id) if run_id and colon and interrupt_id else None


class Answer(msgspec.Struct, frozen=True):
    """What the user says to one question; `given` is false where they would not."""

    question: QuestionId
    given: bool
    value: Any
