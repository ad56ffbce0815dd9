"""Text messages as RFC 6455 has them, and events as such messages: what a run's stream holds, without its framing."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import Final

# A line `event:` stands in front, and JSON escapes newlines.
_DATA: Final = re.compile(rb"\ndata: (.*)")


def messages_of(frames: bytes) -> list[bytes]:
    """Return the JSON of each event in frames of `events/sse.py`; what else is in them, such as comments, is none."""
    return _DATA.findall(frames)


def says_anything(frames: bytes) -> bool:
    """Whether there are any."""
    return b"\ndata: " in frames


def text_frames(messages: Iterable[bytes]) -> bytes:
    """Frame whole text messages in a row, as a server sends them: final, unmasked."""
    parts: list[bytes] = []
    for message in messages:
        size = len(message)
        parts.append(_HEADS[size] if size < _MANY else _head(size))
        parts.append(message)
    return b"".join(parts)


def _head(size: int) -> bytes:
    if size < 126:
        return bytes((_FINAL_TEXT, size))
    if size < 1 << 16:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size)
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size)


class FrameEnds:
    """Finds where frames of a client end, so that the next one can be left unread."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        # What is still to come of its payload.
        self._left = 0

    def take(self, data: bytes) -> int:
        """Return how many of these bytes, at least one, are to be read next: none is of another frame."""
        if self._left:
            size = min(self._left, len(data))
            self._left -= size
            return size
        size = min(self._head_size() - len(self._head), len(data))
        self._head += data[:size]
        if len(self._head) == self._head_size():
            extended = self._head[2 : 2 + _EXTENDED.get(self._head[1] & 0x7F, 0)]
            self._left = int.from_bytes(extended) if extended else self._head[1] & 0x7F
            self._head = b""
        return size

    def _head_size(self) -> int:
        if len(self._head) < 2:
            return 2
        mask = 4 if self._head[1] & 0x80 else 0
        return 2 + _EXTENDED.get(self._head[1] & 0x7F, 0) + mask


# The bytes of a length that does not fit into seven bits.
_EXTENDED: Final = {126: 2, 127: 8}
_FINAL_TEXT: Final = 0x81
_MANY: Final = 1024
_HEADS: Final = [_head(size) for size in range(_MANY)]
