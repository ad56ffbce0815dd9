"""Kept frames as events again: what `sse.frames` has written, for those who write a run in other words."""

from __future__ import annotations

import re
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from dockrion.events.model import KINDS, Batch, Custom, Event

_FRAME: Final = re.compile(rb"event: (.*)\ndata: (.*)\nid: ")
# Our own fields stand in front of those of the agent, and hold no quotes.
_TIMESTAMP: Final = re.compile(rb'"timestamp":"([^"]*)"')
_CUSTOM: Final = b"custom:"


class _Data(msgspec.Struct):
    data: Any


# Each reads frames of its events, and passes over the fields that all have. Many at once are cheaper than one by one.
_DECODERS: Final[dict[bytes, msgspec.json.Decoder[Any]]] = {
    kind.encode(): msgspec.json.Decoder(list[event_type])
    for event_type, kind in KINDS.items()
    if event_type is not Custom
}
_custom: Final = msgspec.json.Decoder(list[_Data])


def batches_of(body: bytes, *, end: int) -> list[Batch]:
    """Return the events of whole frames in a row, the last of which has the sequence before `end`.

    Events of one kind in a row make one batch, with the time of the first: which ones were numbered together is not
    known any more.
    """
    frames = _FRAME.findall(body)
    sequence = end - len(frames)
    batches: list[Batch] = []
    for kind, some in groupby(frames, itemgetter(0)):
        data = [frame[1] for frame in some]
        moment = _TIMESTAMP.search(data[0])
        assert moment is not None, "every event has its time"
        events = _read(kind, b"[%b]" % b",".join(data))
        batches.append(Batch(events, sequence, moment[1].decode()))
        sequence += len(events)
    return batches


def _read(kind: bytes, data: bytes) -> list[Event]:
    if kind.startswith(_CUSTOM):
        name = kind[len(_CUSTOM) :].decode()
        return [Custom(name, one.data) for one in _custom.decode(data)]
    return _DECODERS[kind].decode(data)
