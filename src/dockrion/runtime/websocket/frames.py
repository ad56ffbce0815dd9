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


_FINAL_TEXT: Final = 0x81
_MANY: Final = 1024
_HEADS: Final = [_head(size) for size in range(_MANY)]
