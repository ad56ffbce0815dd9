"""Connections of the server process: fewer writes, endings that reach the caller, and what has not left yet."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final, cast

from uvicorn.protocols.http.flow_control import FlowControl

# For a caller who is still sending when it is refused to read why.
LINGER_SECONDS: Final = 2.0


class AnswerTransport:
    """A transport that holds the head of an answer back for the next write, or until the loop's next turn.

    Also for the application: how much of an answer has not left (`unsent`), and how to drop the connection of
    a caller who takes nothing (`abort`).

    While `body_is_open`, closing it lets the caller finish: a connection that is closed with bytes unread is reset,
    and a reset takes with it what the caller has not read. What still comes is for whoever reads to drop.
    """

    __slots__ = ("_head", "_lingering", "_loop", "_transport", "body_is_open")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._lingering = False
        self.body_is_open = False

    def write(self, data: bytes) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            if data:
                self._transport.writelines((head, data))
            else:
                # asyncio's never gets rid of an empty piece: it stays open, and polls for ever (Python 3.12 and later).
                self._transport.write(head)
        elif data.startswith(b"HTTP/"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def close(self) -> None:
        if self.is_closing():
            return
        self._flush()
        if self.body_is_open and self._transport.can_write_eof():
            self._lingering = True
            self._loop.call_later(LINGER_SECONDS, self._transport.close)
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()

    def body_has_come(self) -> None:
        self.body_is_open = False
        if self._lingering:
            self._transport.close()

    def is_closing(self) -> bool:
        return self._lingering or self._transport.is_closing()

    def abort(self) -> None:
        """Close the connection, without what has not left. The protocol hears of it in the loop's next turn."""
        self._transport.abort()

    def unsent(self) -> int:
        """Return the bytes that the caller's system has not acknowledged: ours, and those in the kernel."""
        waiting = self._transport.get_write_buffer_size()
        sock = self._transport.get_extra_info("socket")
        if sys.platform == "win32" or sock is None:
            return waiting
        import fcntl
        import termios

        try:
            queued = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError):  # the connection has just been closed
            return waiting
        return waiting + int.from_bytes(queued, sys.byteorder)

    def _flush(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class SlowReaders(FlowControl):
    """uvicorn's, with an event only for callers who do read slowly: an unused one costs 760 bytes a connection."""

    def __init__(self, transport: AnswerTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def pause_writing(self) -> None:
        if not self.write_paused:
            self.write_paused = True
            self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self.write_paused:
            self.write_paused = False
            if self._writable is not None:
                self._writable.set()
