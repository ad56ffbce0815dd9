"""An agent on strings: it does what the test at the other end of a socket tells it, and reports how it left.

The same in each shape that a handler may have; `tests/e2e/puppet.py` holds the other end.
"""

from __future__ import annotations

import asyncio
import json
import socket
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from dockrion import StreamContext

Command = dict[str, Any]


async def handle(payload: dict[str, int], context: StreamContext) -> Any:
    async with _strings(payload) as (reader, writer):
        while command := await _next(reader):
            match command["do"]:
                case "token":
                    await context.emit_token(command["content"])
                case "heartbeat":
                    await context.emit_heartbeat()
                case "ask":
                    await context.ask(command["question"])
                case "flood":
                    while True:
                        await context.emit_token(command["content"])
                case "finish":
                    return command["output"]
                case other:
                    raise ValueError(other)
            _done(writer, command)
        return {}


async def generate(payload: dict[str, int]) -> AsyncIterator[Any]:
    async with _strings(payload) as (reader, writer):
        while command := await _next(reader):
            match command["do"]:
                case "token":
                    yield command["content"]
                case "flood":
                    while True:
                        yield command["content"]
                case "finish":
                    if command["output"] is not None:
                        yield command["output"]
                    return
                case other:
                    raise ValueError(other)
            _done(writer, command)
        yield {}


def sync_handle(payload: dict[str, int], context: StreamContext) -> Any:
    with _sync_strings(payload) as strings:
        while command := _sync_next(strings):
            match command["do"]:
                case "token":
                    context.sync_emit_token(command["content"])
                case "flood":
                    while True:
                        context.sync_emit_token(command["content"])
                case "finish":
                    return command["output"]
                case other:
                    raise ValueError(other)
            _sync_done(strings, command)
        return {}


def sync_generate(payload: dict[str, int]) -> Iterator[Any]:
    with _sync_strings(payload) as strings:
        while command := _sync_next(strings):
            match command["do"]:
                case "token":
                    yield command["content"]
                case "flood":
                    while True:
                        yield command["content"]
                case "finish":
                    if command["output"] is not None:
                        yield command["output"]
                    return
                case other:
                    raise ValueError(other)
            _sync_done(strings, command)
        yield {}


@asynccontextmanager
async def _strings(
    payload: dict[str, int],
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", payload["puppet"])
    how = "returned"
    try:
        yield reader, writer
    except BaseException as exc:
        how = type(exc).__name__
        raise
    finally:
        writer.write(_line({"left": how}))
        writer.close()


async def _next(reader: asyncio.StreamReader) -> Command | None:
    line = await reader.readline()
    return json.loads(line) if line else None


def _done(writer: asyncio.StreamWriter, command: Command) -> None:
    writer.write(_line({"done": command["do"]}))


@contextmanager
def _sync_strings(payload: dict[str, int]) -> Generator[_SyncStrings]:
    strings = _SyncStrings(payload["puppet"])
    how = "returned"
    try:
        yield strings
    except BaseException as exc:
        how = type(exc).__name__
        raise
    finally:
        strings.write({"left": how})
        strings.close()


class _SyncStrings:
    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lines = self._socket.makefile("rb")

    def read(self) -> bytes:
        return self._lines.readline()

    def write(self, message: dict[str, str]) -> None:
        self._socket.sendall(_line(message))

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def _sync_next(strings: _SyncStrings) -> Command | None:
    line = strings.read()
    return json.loads(line) if line else None


def _sync_done(strings: _SyncStrings, command: Command) -> None:
    strings.write({"done": command["do"]})


def _line(message: dict[str, str]) -> bytes:
    return json.dumps(message).encode() + b"\n"
