"""A supervisor's handle on one server process."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Self

import msgspec

from dockrion.errors import DockrionError
from dockrion.runtime.shutdown import NOW
from dockrion.runtime.supervisor.link import Failed, News, Orders, error_of, parse_news

_CHILD = "dockrion.runtime.supervisor.child"
_MAX_NEWS_BYTES = 1 << 20
_LAST_WORD_SECONDS = 1.0


class ServerProcess:
    """Started by `start`; whoever starts it waits for its end.

    A process of the same group as the supervisor, so that a debugger in the agent has the terminal. It is a
    subprocess, not one of multiprocessing, which would run the caller's main module again.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._writer = writer  # its end would end the process
        self._news = asyncio.create_task(reader.readline())

    @classmethod
    async def start(cls, orders: Orders, sockets: list[socket.socket]) -> Self:
        ours, its = socket.socketpair()
        with its:
            numbers = tuple(sock.fileno() for sock in sockets)
            full = msgspec.structs.replace(orders, sockets=numbers, link=its.fileno())
            # It starts with SIGINT blocked, and lets it in when it has a handler.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", _CHILD, msgspec.json.encode(full).decode()),
                    pass_fds=(*numbers, its.fileno()),
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        return cls(process, *await asyncio.open_connection(sock=ours, limit=_MAX_NEWS_BYTES))

    @property
    def pid(self) -> int:
        return self._process.pid

    async def loaded(self) -> DockrionError | None:
        """Wait until it serves its agent (None), or until it is known that it will not."""
        ending = asyncio.create_task(self._process.wait())
        await asyncio.wait({self._news, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            ending.cancel()
        news = await self._told()
        if isinstance(news, Failed):
            return error_of(news)
        if news is not None:
            return None
        code = await self._process.wait()
        return DockrionError(f"the server process {how_it_ended(code)} before its agent was loaded")

    async def ended(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        code = await self._process.wait()
        self._news.cancel()
        self._writer.close()
        return code

    def drain(self) -> None:
        self._signal(signal.SIGTERM)

    def end_now(self) -> None:
        self._signal(NOW or signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _told(self) -> News | None:
        # What it said before its end is there already. The link's own end may not come: a process that the agent
        # has forked holds it, too.
        await asyncio.wait({self._news}, timeout=_LAST_WORD_SECONDS)
        line = self._news.result() if self._news.done() else b""
        return parse_news(line) if line else None


def how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
