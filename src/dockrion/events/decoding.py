"""Kept frames as events again: what `sse.frames` has written, for those who write a run in other words."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from dockrion.events.model import KINDS, Batch, Custom, Event

_CUSTOM: Final = "custom:"
_TYPES: Final[dict[str, type[Event]]] = {
    kind: event_type for event_type, kind in KINDS.items() if event_type is not Custom
}


def batches_of(body: bytes, *, end: int) -> list[Batch]:
    """Return the events of whole frames in a row, the last of which has the sequence before `end`.

    Events of one moment make one batch; which ones were numbered together is not known any more.
    """
    # No line of a frame is blank but its last one.
    frames = body.split(b"\n\n")[:-1]
    batches: list[Batch] = []
    for sequence, frame in enumerate(frames, end - len(frames)):
        timestamp, event = _read(frame)
        if not batches or batches[-1].timestamp != timestamp:
            batches.append(Batch([], sequence, timestamp))
        batches[-1].events.append(event)
    return batches


def _read(frame: bytes) -> tuple[str, Event]:
    data = next(line for line in frame.split(b"\n") if line.startswith(b"data: "))
    fields: dict[str, Any] = msgspec.json.decode(data[len(b"data: ") :])
    event_type, timestamp = cast("str", fields["type"]), cast("str", fields["timestamp"])
    if event_type.startswith(_CUSTOM):
        return timestamp, Custom(event_type.removeprefix(_CUSTOM), fields["data"])
    return timestamp, msgspec.convert(fields, _TYPES[event_type])
