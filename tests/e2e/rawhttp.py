"""HTTP as bytes on a socket: what a server really wrote, with nothing of a client library in between."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Head:
    """Status line and header fields, names in lower case, values byte for byte."""

    status_line: bytes
    fields: tuple[tuple[bytes, bytes], ...]

    @property
    def status(self) -> int:
        return int(self.status_line.split(b" ", 2)[1])

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.fields if key == name]

    @property
    def is_chunked(self) -> bool:
        return self.values(b"transfer-encoding") == [b"chunked"]


def request(
    method: str,
    path: str,
    payload: Any = None,
    *,
    version: str = "1.1",
    headers: Iterable[str] = (),
) -> bytes:
    """Return the bytes of a request; with a payload it has a JSON body and its length."""
    body = b"" if payload is None else json.dumps(payload).encode()
    lines = [f"{method} {path} HTTP/{version}", "Host: dockrion.test", *headers]
    if payload is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A socket read as HTTP/1.x, strictly: what breaks the framing fails an assertion."""

    def __init__(self, port: int, *, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read_size = 65536
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave with an RST, as a process that is killed with unread data does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._more()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def head(self) -> Head:
        status_line = self.line()
        fields: list[tuple[bytes, bytes]] = []
        while line := self.line():
            name, colon, value = line.partition(b": ")
            assert colon, f"not a header field: {line!r}"
            fields.append((name.lower(), value))
        return Head(status_line, tuple(fields))

    def chunk(self) -> bytes:
        """Return the data of the next chunk; the last one, which ends the body, is empty."""
        data = self.take(int(self.line(), 16))
        assert self.take(2) == b"\r\n"
        return data

    def piece(self) -> bytes:
        """Return whatever has come of a body that only the end of the connection ends; empty at that end."""
        data, self._buffer = self._buffer, b""
        return data or self.socket.recv(self.read_size)

    def body(self, head: Head) -> bytes:
        """Read the body to its end, by whichever of the three framings the head announces."""
        if head.is_chunked:
            return b"".join(iter(self.chunk, b""))
        if length := head.values(b"content-length"):
            return self.take(int(length[0]))
        return b"".join(iter(self.piece, b""))

    def at_eof(self) -> bool:
        """Wait for the server to close; False when it sends something instead."""
        return not self._buffer and self.socket.recv(1) == b""

    def _more(self) -> None:
        data = self.socket.recv(self.read_size)
        assert data, f"the connection ended after {self._buffer!r}"
        self._buffer += data
