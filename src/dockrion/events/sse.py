"""Server-Sent Events framing: the only place that writes `data:`.

`id:` comes last of the three lines: a widely used fetch-based client takes an `id:` line as soon as it has
read it, and with `id` first a cut inside the event would lose that event on resume.
"""

from __future__ import annotations

import re
from typing import Any, Final, assert_never

import msgspec

from dockrion.events.jsonable import encode, encode_text
from dockrion.events.model import (
    KINDS,
    Batch,
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Event,
    Failed,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)

# One newline, no blank line: with one, a widely used fetch-based client fires an empty message.
COMMENT_HEARTBEAT: Final = b":hb\n"
# A line of the first event: after so many milliseconds a browser whose connection has ended opens it again.
RETRY: Final = b"retry: 1000\n"


def frames(run_id: str, batch: Batch) -> bytes:
    """Frame a whole batch: `event`, `data` (one line of JSON), `id`, blank line, for each event.

    `run_id` holds only letters, digits, `-` and `_`, so it needs no escapes.
    """
    sequence = batch.first
    node = message_id = None
    template = _token_template(run_id, batch.timestamp, node, message_id)
    parts: list[bytes] = []
    add = parts.append
    for event in batch.events:
        if type(event) is Token and event.finish_reason is None:
            if event.node != node or event.message_id != message_id:
                node, message_id = event.node, event.message_id
                template = _token_template(run_id, batch.timestamp, node, message_id)
            add(template % (sequence, sequence, encode_text(event.content), sequence))
        else:
            add(_frame(run_id, sequence, batch.timestamp, event))
        sequence += 1
    return b"".join(parts)


def _token_template(run_id: str, timestamp: str, node: str | None, message_id: str | None) -> bytes:
    """Return a token's frame without what differs from one to the next: its sequence (three times) and its text."""
    run = run_id.encode()
    known = b""
    if node is not None:
        known += b',"node":' + encode_text(node)
    if message_id is not None:
        known += b',"message_id":' + encode_text(message_id)
    return (
        b'event: token\ndata: {"id":"%b:%%d","type":"token","run_id":"%b","sequence":%%d,"timestamp":"%b",'
        b'"content":%%b,"finish_reason":null%b}\nid: %b:%%d\n\n'
    ) % (run, run, timestamp.encode(), known.replace(b"%", b"%%"), run)


def _frame(run_id: str, sequence: int, timestamp: str, event: Event) -> bytes:
    event_type, fields = event_fields(event)
    data = encode(
        {
            "id": f"{run_id}:{sequence}",
            "type": event_type,
            "run_id": run_id,
            "sequence": sequence,
            "timestamp": timestamp,
            **fields,
        }
    )
    # JSON escapes newlines, so one `data:` line is always enough.
    return b"event: %b\ndata: %b\nid: %b:%d\n\n" % (
        event_type.encode(),
        data,
        run_id.encode(),
        sequence,
    )


def frame(data: bytes, *, event: bytes | None = None, event_id: bytes | None = None) -> bytes:
    """Frame data of another protocol: one line of JSON. `event_id` may be a place for `%` to fill, as `data` may have."""
    head = b"" if event is None else b"event: %b\n" % event
    tail = b"\n\n" if event_id is None else b"\nid: %b\n\n" % event_id
    return head + b"data: " + data + tail


def with_id(framed: bytes, event_id: bytes) -> bytes:
    """Return a frame with an `id:` line."""
    return framed[:-1] + b"id: " + event_id + b"\n\n"


def after(body: bytes, event_id: bytes) -> bytes:
    """Return the frames behind the one with that id; all of them, where none has it."""
    # Data is one line, and JSON has no raw newline: nothing else looks like it.
    _, found, rest = body.partition(b"\nid: %b\n\n" % event_id)
    return rest if found else body


def without_ids(body: bytes) -> bytes:
    """Return frames with nothing to come back with."""
    return _IDS.sub(b"", body)


_IDS: Final = re.compile(rb"(?<=\n)id: [^\n]*\n(?=\n)")


def heartbeat(run_id: str, timestamp: str) -> bytes:
    """Frame a `heartbeat` event, which belongs to one connection: no id, no sequence."""
    data = encode({"type": "heartbeat", "run_id": run_id, "timestamp": timestamp})
    return b"event: heartbeat\ndata: %b\n\n" % data


def gap(run_id: str, timestamp: str, *, first: int, last: int) -> bytes:
    """Frame a `gap` event: the connection goes on without the events `first` to `last`, which are kept no more."""
    fields = {"type": "gap", "run_id": run_id, "timestamp": timestamp, "from": first, "to": last}
    return b"event: gap\ndata: %b\n\n" % encode(fields)


def timeout(run_id: str, timestamp: str) -> bytes:
    """Frame a `timeout` event: the connection has lasted as long as it may, the run goes on."""
    data = encode({"type": "timeout", "run_id": run_id, "timestamp": timestamp})
    return b"event: timeout\ndata: %b\n\n" % data


def skip(body: bytes, count: int) -> bytes:
    """Return the frames of a batch without the first `count`."""
    # No line of a frame is blank but its last one.
    return body.split(b"\n\n", count)[count] if count else body


def event_fields(event: Event) -> tuple[str, dict[str, Any]]:
    """Return an event's type and its own fields as callers see them."""
    match event:
        case Token():
            return "token", _without_none(event, "node", "message_id")
        case Started():
            fields = _without_none(event, "attempt")
            return "started", {**fields, "agent_name": event.agent}
        case Custom():
            return f"custom:{event.name}", {"data": event.data}
        case Complete():
            fields = msgspec.structs.asdict(event)
            return "complete", {**fields, "latency": event.latency_seconds}
        case (
            Step()
            | Progress()
            | Checkpoint()
            | ToolCall()
            | ToolResult()
            | Policy()
            | Interrupt()
            | Failed()
            | Cancelled()
        ):
            return KINDS[type(event)], msgspec.structs.asdict(event)
        case _:
            assert_never(event)


def _without_none(event: msgspec.Struct, *optional: str) -> dict[str, Any]:
    fields = msgspec.structs.asdict(event)
    for name in optional:
        if fields[name] is None:
            del fields[name]
    return fields
