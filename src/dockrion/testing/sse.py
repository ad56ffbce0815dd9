"""Reading Server-Sent Events from bytes, cut anywhere, as text."""

from __future__ import annotations

from typing import Any

import msgspec

from dockrion.events.sse_parser import EventParser


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
        self.comments: list[str] = []
        self.last_event_id = ""
        self._parser = _Parser(self.comments)

    @property
    def retry(self) -> int | None:
        return self._parser.retry

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        events = [
            SSEEvent(_text(frame.event) or "message", _text(frame.data), _text(frame.id))
            for frame in self._parser.feed(chunk)
        ]
        if events:
            self.last_event_id = events[-1].id
        return events


class _Parser(EventParser):
    __slots__ = ("_comments",)

    def __init__(self, comments: list[str]) -> None:
        super().__init__()
        self._comments = comments

    def comment(self, text: bytes) -> None:
        self._comments.append(_text(text.removeprefix(b" ")))


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def read_sse(body: bytes) -> list[SSEEvent]:
    """Return the complete events of a whole stream."""
    return SSEReader().feed(body)
