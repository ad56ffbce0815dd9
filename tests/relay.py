"""Something between a client and a server that a test can freeze, as a partition of the network is, and cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path


class Relay:
    """Listens on the Unix socket `path`. While it is frozen it takes connections and bytes, and passes nothing on."""

    def __init__(self, path: Path, target: Path) -> None:
        self.path = path
        self._target = target
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.transport.abort()
            return
        writers = {writer, onward[1]}
        self._writers |= writers
        ways = [(reader, onward[1]), (onward[0], writer)]
        tasks = {asyncio.create_task(self._carry(*way)) for way in ways}
        self._tasks |= tasks
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        self._writers -= writers
        for one in writers:
            one.transport.abort()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._tasks -= tasks

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass


@asynccontextmanager
async def relay_to(target: Path) -> AsyncGenerator[Relay]:
    relay = Relay(target.with_name("relay.sock"), target)
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relay.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_unix_server(accept, relay.path)
    try:
        yield relay
    finally:
        server.close()
        relay.thaw()
        relay.cut()
        if serving:
            await asyncio.wait(serving)
