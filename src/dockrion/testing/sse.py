"""Reading Server-Sent Events from bytes, cut anywhere.

After the WHATWG HTML standard, section 9.2.6 (interpreting an event stream):
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import codecs
from typing import Any

import msgspec


class SSEEvent(msgspec.Struct, frozen=True):
    """One event: `event` is its type (`message` when none was sent), `id` the last id seen so far."""

    event: str
    data: str
    id: str

    def json(self) -> Any:
        return msgspec.json.decode(self.data)


class SSEReader:
    """Feed it bytes as they come; it gives the events that are complete.

    `retry` is the last reconnection time that was sent, in milliseconds; `comments` all comment lines.
    """

    def __init__(self) -> None:
        self.retry: int | None = None
        self.comments: list[str] = []
        self.last_event_id = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = ""
        self._skip_newline = False
        self._at_start = True
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        events: list[SSEEvent] = []
        for line in self._complete_lines(text):
            event = self._interpret(line)
            if event is not None:
                events.append(event)
        return events

    def _complete_lines(self, text: str) -> list[str]:
        """Split at LF, CR and CRLF, also where a CRLF lies across two chunks."""
        if self._skip_newline and text:
            text = text.removeprefix("\n")
            self._skip_newline = False
        self._skip_newline = self._skip_newline or text.endswith("\r")
        lines = (self._line + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line = lines.pop()
        return lines

    def _interpret(self, line: str) -> SSEEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "":
                self.comments.append(value)
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self.last_event_id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value)
            case _:
                pass
        return None

    def _dispatch(self) -> SSEEvent | None:
        event, data = self._event, self._data
        self._event, self._data = "", []
        if not data:
            return None
        return SSEEvent(event or "message", "\n".join(data), self.last_event_id)


def read_sse(body: bytes) -> list[SSEEvent]:
    """Return the complete events of a whole stream."""
    return SSEReader().feed(body)
