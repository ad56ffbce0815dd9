"""Reading Server-Sent Events from bytes, cut anywhere.

After the WHATWG HTML standard, section 9.2.6 (interpreting an event stream):
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import Final

import msgspec

# Outputs have 10 MiB by default, which JSON's escapes can make six times as long.
MAX_EVENT_BYTES: Final = 64 << 20
# Milliseconds; nobody is asked to wait for longer than eleven days.
_RETRY_DIGITS: Final = 9


# As dockrion writes its events; whatever else the standard allows is read line by line.
_USUAL: Final = re.compile(rb"event: ([^\n]*)\ndata: ([^\n]*)\nid: ([^\n\0]*)")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event as it stands in the stream: `event` is empty when no type was sent; `id` is the last id seen so far."""

    event: bytes
    data: bytes
    id: bytes


class EventTooLargeError(Exception):
    """An event, or what may become one, is larger than the parser takes."""


class EventParser:
    """Feed it bytes as they come; it gives the events that are complete. What is cut off at the end is none.

    It holds one event at most: one larger than `max_event_bytes` raises `EventTooLargeError`. `retry` is the last
    reconnection time that was sent, in milliseconds.
    """

    __slots__ = (
        "_at_start",
        "_frame_bytes",
        "_last_id",
        "_max_bytes",
        "_parts",
        "_skip_lf",
        "retry",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.retry: int | None = None
        self._max_bytes = max_event_bytes
        self._last_id = b""
        # The event that is not complete: joined when it is, so that a large one costs no copy for each piece.
        self._parts: list[bytes] = []
        self._frame_bytes = 0
        self._skip_lf = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[Frame]:
        if self._skip_lf or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        if not chunk:
            return []
        parts = self._parts
        if parts:
            if b"\n\n" not in chunk and not (parts[-1].endswith(b"\n") and chunk[0] == 10):
                self._hold(chunk)
                return []
            chunk = b"".join((*parts, chunk))
            parts.clear()
            self._frame_bytes = 0
        if self._at_start:
            if len(chunk) < len(BOM_UTF8) and BOM_UTF8.startswith(chunk):
                self._hold(chunk)
                return []
            chunk = chunk.removeprefix(BOM_UTF8)
            self._at_start = False
        *whole, rest = chunk.split(b"\n\n")
        frames = [frame for frame in map(self._read, whole) if frame is not None]
        # Else what keeps a silent connection alive would fill the memory.
        while rest[:1] == b":" and (end := rest.find(b"\n")) >= 0:
            self.comment(rest[1:end])
            rest = rest[end + 1 :]
        if rest:
            self._hold(rest)
        return frames

    def comment(self, text: bytes) -> None:
        """Take a comment line, without its colon; to be overridden."""

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Return it with each line end as one LF, also where a CRLF lies across two chunks."""
        if not chunk:
            return chunk
        if self._skip_lf:
            chunk = chunk.removeprefix(b"\n")
        self._skip_lf = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _hold(self, part: bytes) -> None:
        self._frame_bytes += len(part)
        if self._frame_bytes > self._max_bytes:
            raise EventTooLargeError(f"an event is larger than {self._max_bytes} bytes")
        self._parts.append(part)

    def _read(self, text: bytes) -> Frame | None:
        """Return the event of some lines, if they make one."""
        usual = _USUAL.fullmatch(text)
        if usual is not None:
            event, data, self._last_id = usual.groups()
            return Frame(event, data, self._last_id)
        return self._read_lines(text)

    def _read_lines(self, text: bytes) -> Frame | None:
        event = b""
        data: bytes | None = None
        for line in text.split(b"\n"):
            field, _, value = line.partition(b":")
            if value[:1] == b" ":
                value = value[1:]
            if line[:1] == b":":
                self.comment(line[1:])
            elif field == b"data":
                data = value if data is None else b"%b\n%b" % (data, value)
            elif field == b"event":
                event = value
            elif field == b"id":
                if b"\0" not in value:
                    self._last_id = value
            elif field == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
                self.retry = int(value)
        return None if data is None else Frame(event, data, self._last_id)
