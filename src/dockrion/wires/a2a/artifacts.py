"""Artifacts of A2A's tasks: texts as they grow, and outputs."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

from dockrion.events.jsonable import encode
from dockrion.wires.a2a.words import Parts, Words
from dockrion.wires.chat import Chat

_OUTPUT: Final = "output"


class Modes(NamedTuple):
    """What the client takes of an output."""

    text: bool = True
    data: bool = True


ALL_MODES: Final = Modes()


class Text:
    """What is said on one channel. `frame` has a place for more of it, and for the sequence where there are cursors."""

    __slots__ = ("frame", "id", "node", "pieces")

    def __init__(self, artifact_id: str, node: str | None) -> None:
        self.id = artifact_id
        self.node = node
        self.pieces: list[str] = []
        self.frame = b""

    @property
    def joined(self) -> str:
        return "".join(self.pieces)

    def artifact(self, words: Words, text: str | None = None) -> dict[str, Any]:
        named = {} if self.node is None else {"name": self.node}
        part = words.text(self.joined if text is None else text)
        return {"artifactId": self.id, **named, "parts": [part]}


def output_artifact(
    output: Any, said: str, chat: Chat, *, words: Words, modes: Modes
) -> dict[str, Any] | None:
    """Return what an output has that the texts, which are `said`, have not: its own text, and itself as data."""
    if output is None:
        return None
    parts: Parts = []
    text = said or chat.text_of(output)
    is_text = isinstance(output, str) or _has_only(output, text)
    if modes.data and not (is_text and modes.text):
        parts.append(words.data(output))
    elif text is None:
        text = encode(output).decode()
    if modes.text and text and not said:
        parts.insert(0, words.text(text))
    return {"artifactId": _OUTPUT, "name": _OUTPUT, "parts": parts} if parts else None


def _has_only(output: Any, text: str | None) -> bool:
    """Whether an output is an object that has this text and nothing else."""
    return isinstance(output, dict) and list(cast("dict[str, Any]", output).values()) == [text]
