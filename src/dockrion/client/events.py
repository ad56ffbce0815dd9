"""Events as a client gets them: the structs of `dockrion.events.model`, each with its place in the run.

What this version does not know becomes `Unknown`, so that events of a newer server break nothing.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec

from dockrion.errors import UnexpectedAnswerError
from dockrion.events.model import (
    KINDS,
    Cancelled,
    Complete,
    Custom,
    Event,
    Failed,
)
from dockrion.events.sse_parser import Frame


class Gap(msgspec.Struct, frozen=True, gc=False):
    """The server keeps the events `first` to `last` (their sequence numbers, both counted in) no more: they are lost for
    this client.
    """

    first: int = msgspec.field(name="from")
    last: int = msgspec.field(name="to")


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """Nothing else was sent for a while."""


class TimedOut(msgspec.Struct, frozen=True, gc=False):
    """The connection has lasted as long as it may; the run goes on."""


class Unknown(msgspec.Struct, frozen=True):
    """An event of a type that this version does not know, with all that it holds."""

    fields: dict[str, Any]


Data: TypeAlias = Event | Gap | Heartbeat | TimedOut | Unknown


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of a run.

    `type` is its name, such as `token` or `custom:note`, and `data` what it says, in the type of its kind. `sequence` and
    `id` are None for what belongs to a connection (`Gap`). `timestamp` is the server's, in ISO 8601 and UTC. `raw` is its JSON as it came.
    """

    type: str
    data: Data
    run_id: str
    sequence: int | None
    timestamp: str
    raw: bytes

    @property
    def id(self) -> str | None:
        return None if self.sequence is None else f"{self.run_id}:{self.sequence}"

    @property
    def fields(self) -> dict[str, Any]:
        """All that came with it, as JSON data."""
        return msgspec.json.decode(self.raw)

    @property
    def is_terminal(self) -> bool:
        return isinstance(self.data, Complete | Failed | Cancelled)


class _Head(msgspec.Struct, gc=False):
    """What all events have."""

    run_id: str = ""
    sequence: int | None = None
    timestamp: str = ""


class _CustomData(msgspec.Struct):
    data: Any = None


def read_event(frame: Frame) -> StreamEvent:
    """Raises `UnexpectedAnswerError` for what no dockrion server sends."""
    raw = frame.data
    try:
        head = _heads.decode(raw)
        known = _KNOWN.get(frame.event)
        if known is None:
            event_type = frame.event.decode()
            data = _read_other(event_type, raw)
        else:
            event_type, decoder = known
            try:
                data = decoder.decode(raw)
            except msgspec.ValidationError:
                # As a later version may send it.
                data = Unknown(_objects.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise UnexpectedAnswerError(
            f"The stream holds an event that is none of dockrion's: {_shown(raw)}"
        ) from exc
    return StreamEvent(event_type, data, head.run_id, head.sequence, head.timestamp, raw)


def _read_other(event_type: str, raw: bytes) -> Custom | Unknown:
    name = event_type.removeprefix("custom:")
    if name != event_type:
        return Custom(name, _customs.decode(raw).data)
    return Unknown(_objects.decode(raw))


def _shown(raw: bytes) -> str:
    text = raw[:80].decode(errors="replace")
    return repr(text if len(raw) <= 80 else f"{text}...")


_heads: Final = msgspec.json.Decoder(_Head)
_objects: Final = msgspec.json.Decoder(dict[str, Any])
_customs: Final = msgspec.json.Decoder(_CustomData)
_TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    **{kind: cls for cls, kind in KINDS.items() if cls is not Custom},
    "gap": Gap,
    "heartbeat": Heartbeat,
    "timeout": TimedOut,
}
_KNOWN: Final[dict[bytes, tuple[str, msgspec.json.Decoder[Any]]]] = {
    name.encode(): (name, msgspec.json.Decoder(cls)) for name, cls in _TYPES.items()
}
