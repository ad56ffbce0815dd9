"""Kept frames as events again: what `sse.frames` has written, for those who write a run in other words."""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from dockrion.events.model import KINDS, Batch, Custom, Event, Token

_FRAME: Final = re.compile(rb"event: (.*)\ndata: (.*)\nid: ")
# A whole line of its own: data is one line, whatever it says.
_IS_TOKEN: Final = b"event: token\ndata: "
# Behind the fields that all events have, a token's own.
_OF_TOKEN: Final = re.compile(rb'"content":.*')
# Our own fields stand in front of those of the agent, and hold no quotes.
_TIMESTAMP: Final = b'"timestamp":"'
_CUSTOM: Final = b"custom:"
_QUESTION: Final = b"interrupt"


class _Data(msgspec.Struct):
    data: Any


# Each reads frames of its events, and passes over the fields that all have. Many at once are cheaper than one by one.
_DECODERS: Final[dict[bytes, msgspec.json.Decoder[Any]]] = {
    kind.encode(): msgspec.json.Decoder(list[event_type])
    for event_type, kind in KINDS.items()
    if event_type is not Custom
}
_tokens: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(list[Token])
_custom: Final = msgspec.json.Decoder(list[_Data])


def batches_of(body: bytes, *, first: int, end: int) -> list[Batch]:
    """Return the events of whole frames in a row, which have the sequences from `first` to before `end`.

    Events of one kind in a row make one batch, with the time of the first: which ones were numbered together is not
    known any more. Only a question has its own, since the one before may have waited for days.
    """
    if body.count(_IS_TOKEN) == end - first:
        # Nearly all that agents say.
        own = b"[{%b]" % b",{".join(_OF_TOKEN.findall(body))
        return [Batch(_tokens.decode(own), first, _time_of(body))] if body else []
    batches: list[Batch] = []
    for kind, some in groupby(_FRAME.findall(body), itemgetter(0)):
        data = [frame[1] for frame in some]
        for piece in [[one] for one in data] if kind == _QUESTION else [data]:
            batches.append(_batch(kind, piece, first))
            first += len(piece)
    return batches


def _batch(kind: bytes, data: list[bytes], first: int) -> Batch:
    return Batch(_read(kind, b"[%b]" % b",".join(data)), first, _time_of(data[0]))


def _time_of(data: bytes) -> str:
    start = data.index(_TIMESTAMP) + len(_TIMESTAMP)
    return data[start : data.index(b'"', start)].decode()


def _read(kind: bytes, data: bytes) -> list[Event]:
    if kind.startswith(_CUSTOM):
        name = kind[len(_CUSTOM) :].decode()
        return [Custom(name, one.data) for one in _custom.decode(data)]
    return _DECODERS[kind].decode(data)
