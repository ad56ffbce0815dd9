"""Frames of the native wire as CONTRACT section 2 writes them, taken from bytes and checked byte for byte."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from .rawhttp import Connection, Head, request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

_FRAME = re.compile(rb"event: ([^\r\n]+)\ndata: ([^\r\n]+)\n(?:id: ([^\r\n]+)\n)?\n")
_HEARTBEAT = b":hb\n"


@dataclass(frozen=True)
class Frame:
    raw: bytes
    event: str
    data: dict[str, Any]
    id: str | None


def frames(read: Callable[[], bytes]) -> Iterator[Frame]:
    """Yield each frame as soon as its blank line is there; `read` gives the next bytes, none at the end."""
    buffer = b""
    while piece := read():
        buffer += piece
        while buffer.startswith(_HEARTBEAT):
            buffer = buffer.removeprefix(_HEARTBEAT)
        while b"\n\n" in buffer:
            end = buffer.index(b"\n\n") + 2
            yield parse(buffer[:end])
            buffer = buffer[end:]
            while buffer.startswith(_HEARTBEAT):
                buffer = buffer.removeprefix(_HEARTBEAT)
    assert buffer == b"", f"the stream ended inside a frame: {buffer!r}"


def parse(raw: bytes) -> Frame:
    match = _FRAME.fullmatch(raw)
    assert match, f"not a frame of the contract: {raw!r}"
    event, data, identifier = match.groups()
    return Frame(raw, event.decode(), json.loads(data), identifier.decode() if identifier else None)


def parse_all(body: bytes) -> list[Frame]:
    """Parse bytes that must be whole frames, and nothing else."""
    return list(frames(iter([body, b""]).__next__))


def last(body: bytes) -> Frame:
    return parse_all(body)[-1]


class Stream:
    """One `POST /invoke/stream` on a connection of its own, read frame by frame."""

    def __init__(
        self,
        port: int,
        payload: Any,
        *,
        receive_buffer_bytes: int | None = None,
        version: str = "1.1",
        headers: Iterable[str] = (),
    ) -> None:
        self.connection = Connection(port, receive_buffer_bytes=receive_buffer_bytes)
        self.connection.send(
            request("POST", "/invoke/stream", payload, version=version, headers=headers)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def open(self) -> Head:
        """Read the head, and make ready for `next`."""
        head = self.connection.head()
        assert head.status == 200, self.connection.body(head)
        self._frames = frames(self.connection.chunk if head.is_chunked else self.connection.piece)
        return head

    def next(self) -> Frame:
        return next(self._frames)

    def rest(self) -> list[Frame]:
        """Return what is left; the body has ended properly, or this fails."""
        return list(self._frames)
