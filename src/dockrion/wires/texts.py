"""Many tokens in one go: the frames of texts that differ in nothing else. The hot path of every protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from dockrion.events import sse
from dockrion.events.jsonable import encode, encode_text, encode_texts
from dockrion.events.model import Channel, Event, Token


class OpenText(NamedTuple):
    """A text that goes on. `frame` is that of what comes next, with a place for it, and for the sequence where there are
    cursors.
    """

    id: str
    frame: bytes

    @classmethod
    def of(cls, text_id: str, delta: dict[str, Any], cursor: bytes | None) -> OpenText:
        """`delta` has the fields of what comes next, none of which holds a `%`: the frame is filled."""
        frame = sse.frame(encode(delta)[:-1] + b',"delta":%b}', event_id=cursor)
        return cls(text_id, frame)


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
