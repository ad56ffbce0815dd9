"""Callers that break the rules of frames, or take nothing, on our server: in bytes."""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from .agents import count
from .kit import ServerKind, served, talk

HEAD = (
    b"GET /invoke/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
)
TEXT, BINARY, CONT, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FIN = 0x80


def frame(
    opcode: int, data: bytes = b"", *, fin: bool = True, masked: bool = True, bits: int = 0
) -> bytes:
    first = (FIN if fin else 0) | bits | opcode
    mask = 0x80 if masked else 0
    size = len(data)
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    if not masked:
        return head + data
    # The mask of zeros leaves the text as it is.
    return head + b"\0\0\0\0" + data


class Raw:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, *, seconds: float = 10) -> tuple[int, bytes]:
        """Return opcode and data of the next frame."""
        async with asyncio.timeout(seconds):
            first, size = await self.reader.readexactly(2)
            assert first & FIN
            assert not size & 0x80, "servers do not mask"
            if size == 126:
                size = struct.unpack("!H", await self.reader.readexactly(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", await self.reader.readexactly(8))[0]
            return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Read up to the close frame and the end of the connection; return its code."""
        while (got := await self.read())[0] != CLOSE:
            pass
        async with asyncio.timeout(10):
            assert await self.reader.read() == b""
        return struct.unpack("!H", got[1][:2])[0] if got[1] else 1005


@asynccontextmanager
async def raw(port: int, *, then: bytes = b"", extra: bytes = b"") -> AsyncGenerator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HEAD + extra + b"\r\n" + then)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield Raw(reader, writer)
    finally:
        writer.close()


PING_TEXT = b'{"type":"ping","id":"p"}'
PONG_TEXT = b'{"type":"pong","id":"p"}'

HOSTILE: dict[str, tuple[bytes, int]] = {
    "an unmasked frame": (frame(TEXT, PING_TEXT, masked=False), 1002),
    "a reserved bit, as compression has": (frame(TEXT, PING_TEXT, bits=0x40), 1002),
    "a reserved opcode": (frame(3, b"x"), 1002),
    "a reserved control opcode": (frame(11, b"x"), 1002),
    "a long control frame": (frame(PING, b"x" * 126), 1002),
    "a control frame in parts": (frame(PING, b"x", fin=False), 1002),
    "a part without a beginning": (frame(CONT, b"x"), 1002),
    "a beginning inside a message": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"x"), 1002),
    "no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "half a character": (frame(TEXT, b'"\xc3', fin=False) + frame(CONT, b'"'), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a binary message": (frame(BINARY, PING_TEXT), 1003),
    "a binary message in parts": (frame(BINARY, b"x", fin=False), 1003),
    "a frame that says it is huge": (struct.pack("!BBQ", FIN | TEXT, 0x80 | 127, 1 << 40), 1009),
    "a size with its first bit set": (struct.pack("!BBQ", FIN | TEXT, 0x80 | 127, 1 << 63), 1009),
    "parts that become too many bytes": (
        frame(TEXT, b"x" * 600, fin=False) + frame(CONT, b"x" * 600),
        1009,
    ),
    "a close with one byte": (frame(CLOSE, b"x"), 1002),
    "a close with a code that is none": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "a close with a reason that is no text": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_broken_frames_close_the_connection_with_a_code(what: str, bytewise: bool) -> None:
    sent, code = HOSTILE[what]
    async with served(count, expose={"limits": {"max_body_bytes": 1000}}) as port:
        async with raw(port) as caller:
            for piece in [sent[n : n + 1] for n in range(len(sent))] if bytewise else [sent]:
                caller.writer.write(piece)
                if bytewise:
                    await asyncio.sleep(0)
            assert await caller.close_code() == code
        async with talk(port) as ws:
            assert (await ws.ask("ping"))["type"] == "pong"


async def test_a_message_in_parts_with_pings_between_them_is_one() -> None:
    async with served(count) as port, raw(port) as caller:
        caller.writer.write(frame(TEXT, PING_TEXT[:5], fin=False))
        caller.writer.write(frame(PING, b"hi"))
        caller.writer.write(frame(CONT, b"", fin=False) + frame(CONT, PING_TEXT[5:]))
        assert await caller.read() == (PONG, b"hi")
        assert await caller.read() == (TEXT, PONG_TEXT)


async def test_what_comes_with_the_handshake_waits_for_its_answer() -> None:
    async with served(count) as port, raw(port, then=frame(TEXT, PING_TEXT)) as caller:
        assert await caller.read() == (TEXT, PONG_TEXT)


async def test_no_compression_is_agreed_to() -> None:
    offer = b"sec-websocket-extensions: permessage-deflate\r\n"
    async with served(count) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + offer + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-extensions" not in head.lower()


async def test_a_close_is_answered_with_its_code_and_the_end() -> None:
    async with served(count) as port:
        for code, sent in ((1000, struct.pack("!H", 1000)), (1005, b""), (4000, b"\x0f\xa0bye")):
            async with raw(port) as caller:
                caller.writer.write(frame(CLOSE, sent) + frame(TEXT, PING_TEXT))
                assert await caller.close_code() == code


async def test_a_half_closed_connection_is_let_go() -> None:
    async with served(count) as port, raw(port) as caller:
        caller.writer.write_eof()
        async with asyncio.timeout(5):
            await caller.reader.read()


async def test_a_million_tiny_parts_neither_fill_the_memory_nor_hold_up_others() -> None:
    limits = {"limits": {"max_body_bytes": 2_000_000}}
    async with served(count, expose=limits) as port, raw(port) as caller, talk(port) as ws:
        answered = asyncio.create_task(_flood(caller, parts=300_000))
        turns = 0
        while not answered.done():
            await ws.ask("ping")
            turns += 1
        assert (await answered)[0] == TEXT
    assert turns > 20, "others had their turns all along"


async def _flood(caller: Raw, *, parts: int) -> tuple[int, bytes]:
    """Send a message in empty parts; return the answer."""
    caller.writer.write(frame(TEXT, b'{"type":"ping","id":"p', fin=False))
    piece = b"".join(frame(CONT, b"", fin=False) for _ in range(1000))
    for _ in range(parts // 1000):
        caller.writer.write(piece)
        await caller.writer.drain()
    caller.writer.write(frame(CONT, b'"}'))
    # All of them have to be looked at, on a machine that may have other work.
    return await caller.read(seconds=60)


async def test_pings_of_one_who_reads_nothing_are_not_kept() -> None:
    """Only the last is answered once the caller reads, and the server holds no more than that."""
    async with served(count) as port, raw(port) as caller:
        caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
        sent = frame(PING, b"x" * 100) * 10_000
        with anyio.move_on_after(2):
            for _ in range(20):
                caller.writer.write(sent)
                await caller.writer.drain()
        caller.reader._transport.resume_reading()  # type: ignore[attr-defined]
        caller.writer.write(frame(PING, b"last"))
        while (await caller.read()) != (PONG, b"last"):
            pass


async def flood(payload: Any) -> Any:
    text = os.urandom(500).hex()
    while True:
        yield text


async def test_a_caller_who_takes_nothing_is_given_up_and_the_agent_stopped(
    kind: ServerKind,
) -> None:
    apps: list[Any] = []
    limits = {"limits": {"write_timeout": 1}}
    async with served(flood, kind=kind, expose=limits, write_seconds=1, app_is=apps.append) as port:
        async with raw(port) as caller:
            caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(3):
                caller.writer.write(frame(TEXT, b'{"type":"run","id":"%d","payload":{}}' % number))
            host = apps[0].state.dockrion
            async with asyncio.timeout(10):
                while host.runner.active < 3:
                    await asyncio.sleep(0.01)
                while host.runner.active or host.sessions:
                    await asyncio.sleep(0.01)


async def test_a_slow_caller_loses_nothing_and_is_not_buffered_for() -> None:
    produced = 0

    async def counting(payload: Any) -> Any:
        nonlocal produced
        for _ in range(200_000):
            produced += 1
            yield "x" * 100

    async with served(counting) as port, raw(port) as caller:
        caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
        caller.writer.write(frame(TEXT, b'{"type":"run","payload":{}}'))
        before = -1
        async with asyncio.timeout(10):
            while produced != before or not produced:
                before = produced
                await asyncio.sleep(0.3)
        assert produced < 100_000, "the agent waits for its reader"
        caller.reader._transport.resume_reading()  # type: ignore[attr-defined]
        seen = 0
        async with asyncio.timeout(60):
            while b'"type":"complete"' not in (said := (await caller.read())[1]):
                # On a busy machine a heartbeat comes due.
                seen += b'"type":"heartbeat"' not in said
    assert seen == 200_002


async def test_one_who_asks_and_takes_no_answer_is_dropped() -> None:
    apps: list[Any] = []
    async with (
        served(count, ping_seconds=0.1, write_seconds=0.6, app_is=apps.append) as port,
        raw(port) as caller,
    ):
        caller.reader._transport.pause_reading()  # type: ignore[attr-defined]
        many = frame(TEXT, b'{"type":"ping","id":"%b"}' % (b"x" * 120)) * 1000
        with suppress(ConnectionError):
            async with asyncio.timeout(20):
                while not caller.writer.is_closing():
                    caller.writer.write(many)
                    await caller.writer.drain()
        async with asyncio.timeout(5):
            while apps[0].state.dockrion.sessions:
                await asyncio.sleep(0.01)


async def test_a_silent_caller_gets_pings() -> None:
    async with served(count, ping_seconds=0.1, write_seconds=0.6) as port:
        async with raw(port) as caller:
            for _ in range(3):
                assert (await caller.read())[0] == PING
            caller.writer.write(frame(PONG))
            assert (await caller.read())[0] == PING


async def test_an_offer_behind_an_answer_that_is_still_to_come_is_left_unanswered() -> None:
    request = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    async with served(count) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request + HEAD + b"\r\n")
        first = await reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 200 ")
        second = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert b"HTTP/1.1 426 " in second


async def test_a_connection_may_speak_http_first() -> None:
    async with served(count) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(HEAD + b"\r\n" + frame(TEXT, PING_TEXT))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await Raw(reader, writer).read() == (TEXT, PONG_TEXT)
        writer.close()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 13, 100, 5000])
async def test_what_is_heard_does_not_depend_on_how_it_is_cut(size: int) -> None:
    sent, expected = b"", list[tuple[int, bytes]]()
    for number in range(30):
        text = b'{"type":"ping","id":"%b"}' % (b"%d-" % number).ljust(number * 4 + 3, b"x")
        middle = number * 3
        if number % 3:
            sent += frame(TEXT, text[:middle], fin=False) + frame(CONT, text[middle:])
        else:
            sent += frame(TEXT, text)
        expected.append((TEXT, text.replace(b"ping", b"pong")))
    async with served(count) as port, raw(port) as caller:
        for start in range(0, len(sent), size):
            caller.writer.write(sent[start : start + size])
            await asyncio.sleep(0)
        assert [await caller.read() for _ in expected] == expected
