"""Many tokens in one go: the frames of texts that differ in nothing else. The hot path of every protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from dockrion.events.jsonable import encode_text, encode_texts
from dockrion.events.model import Event, Token

# Whose text a token's is: its node and message id.
Channel: TypeAlias = tuple[str | None, str | None]


def frames_of(
    frame: bytes, texts: Sequence[str], first: int | None = None, *, count: int | None = None
) -> bytes:
    """Return the frame once for each text: it has a place for the text and, with `first`, one for its number behind it.

    With `count`, it has one in front of it too, for a number that goes on from there.
    """
    if len(texts) == 1:
        # As models write them.
        text = encode_text(texts[0])
        if count is None:
            return frame % (text if first is None else (text, first))
        return frame % ((count, text) if first is None else (count, text, first))
    columns: list[Sequence[Any]] = [encode_texts(texts)]
    if count is not None:
        columns.insert(0, range(count, count + len(texts)))
    if first is not None:
        columns.append(range(first, first + len(texts)))
    places: list[Any] = [None] * (len(columns) * len(texts))
    for place, column in enumerate(columns):
        places[place :: len(columns)] = column
    return frame * len(texts) % tuple(places)


def take(
    events: Sequence[Event],
    *,
    texts: Callable[[Channel, list[str]], None],
    other: Callable[[Event], None],
) -> None:
    """Give away events in order: the texts of tokens in a row on one channel together, all others one by one, those of
    tokens without a text or with a reason to end too.
    """
    node = message_id = None
    said: list[str] = []
    for event in events:
        if type(event) is Token and event.content and event.finish_reason is None:
            if event.node != node or event.message_id != message_id:
                if said:
                    texts((node, message_id), said)
                    said = []
                node, message_id = event.node, event.message_id
            said.append(event.content)
        else:
            if said:
                texts((node, message_id), said)
                said = []
            other(event)
    if said:
        texts((node, message_id), said)
