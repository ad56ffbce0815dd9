"""Heads that two readers could read in two ways: request smuggling, and other oddities, byte for byte."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from dockrion.runtime.protocol import ConnectionLimits
from dockrion.runtime.sockets import connections_within
from dockrion.testing import app_for, running
from tests.runtime.connections import Receive, Scope, Send, exchange, serving

BODY = b'{"a":1}'
CHUNKS = b"7\r\n" + BODY + b"\r\n0\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
LENGTH = b"content-length: 7\r\n"
CODING = b"transfer-encoding: chunked\r\n"


async def seen(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the path and the body."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    answer = scope["path"].encode() + b" " + body
    headers = [(b"content-length", str(len(answer)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def answers(sent: bytes, limits: ConnectionLimits | None = None) -> bytes:
    async def scenario() -> bytes:
        async with serving(seen, limits=limits) as port:
            return await exchange(port, sent)

    return asyncio.run(scenario())


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 ")
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1
    return int(answer[9:12])


def sent(
    extra: bytes,
    body: bytes = BODY,
    *,
    line: bytes = b"POST / HTTP/1.1",
    host: bytes = b"host: x\r\n",
) -> bytes:
    return line + b"\r\n" + host + extra + b"\r\n" + body


SMUGGLED: dict[str, bytes] = {
    "length and chunks": sent(LENGTH + CODING, CHUNKS),
    "chunks and length": sent(CODING + LENGTH, CHUNKS),
    "two equal lengths": sent(LENGTH + LENGTH),
    "two lengths": sent(LENGTH + b"content-length: 8\r\n"),
    "a list of lengths": sent(b"content-length: 7, 7\r\n"),
    "a length with a sign": sent(b"content-length: +7\r\n"),
    "a negative length": sent(b"content-length: -7\r\n"),
    "a hexadecimal length": sent(b"content-length: 0x7\r\n"),
    "a length past 64 bits": sent(b"content-length: 18446744073709551623\r\n"),
    "a space before the colon": sent(b"content-length : 7\r\n"),
    "an unknown coding": sent(b"transfer-encoding: xchunked\r\n", CHUNKS),
    "chunks not last": sent(b"transfer-encoding: chunked, identity\r\n", CHUNKS),
    "chunks of gzip": sent(b"transfer-encoding: gzip, chunked\r\n", CHUNKS),
    "identity": sent(b"transfer-encoding: identity\r\n", CHUNKS),
    "two codings": sent(b"transfer-encoding: identity\r\n" + CODING, CHUNKS),
    "chunks twice": sent(CODING + CODING, CHUNKS),
    "chunks twice in a list": sent(b"transfer-encoding: chunked, chunked\r\n", CHUNKS),
    "a quoted coding": sent(b'transfer-encoding: "chunked"\r\n', CHUNKS),
    "a vertical tab in a coding": sent(b"transfer-encoding: \x0bchunked\r\n", CHUNKS),
    "a space before a coding's colon": sent(b"transfer-encoding : chunked\r\n", CHUNKS),
    "a coding on a line of its own": sent(b"transfer-encoding:\r\n chunked\r\n", CHUNKS),
    "chunks on HTTP/1.0": sent(CODING, CHUNKS, line=b"POST / HTTP/1.0"),
    "a folded line": sent(b"x-a: b\r\n c\r\n" + LENGTH),
    "a folded first line": sent(b" x: y\r\n" + LENGTH, host=b""),
    "bare line feeds": sent(LENGTH).replace(b"\r\n", b"\n"),
    "a bare carriage return": sent(b"x-a: b\rc\r\n" + LENGTH),
    "a zero byte in a value": sent(b"x-a: b\0c\r\n" + LENGTH),
    "a control byte in a value": sent(b"x-a: \x1b[31m\r\n" + LENGTH),
    "a control byte in a name": sent(b"x\x01a: b\r\n" + LENGTH),
    "a name that is no ASCII": sent(b"x\xc3\xa9: b\r\n" + LENGTH),
    "no name": sent(b": b\r\n" + LENGTH),
    "no colon": sent(b"x-a\r\n" + LENGTH),
    "a zero byte in the path": sent(b"", b"", line=b"GET /a\0b HTTP/1.1"),
    "a control byte in the path": sent(b"", b"", line=b"GET /\x1b[31m HTTP/1.1"),
    "a path that is no ASCII": sent(b"", b"", line=b"GET /\xff HTTP/1.1"),
    "a target without a slash": sent(b"", b"", line=b"GET health HTTP/1.1"),
    "an authority as target": sent(b"", b"", line=b"GET x:80 HTTP/1.1"),
    "a proxy's CONNECT": sent(b"", b"", line=b"CONNECT x:80 HTTP/1.1"),
    "an address without a host": sent(b"", b"", line=b"GET http:// HTTP/1.1"),
    "no version": b"GET /\r\n\r\n",
    "HTTP/2.0": sent(b"", b"", line=b"GET / HTTP/2.0"),
    "HTTP/1.2": sent(b"", b"", line=b"GET / HTTP/1.2"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40,
    "an unknown method": sent(b"", b"", line=b"STEAL / HTTP/1.1"),
    "a method in lower case": sent(b"", b"", line=b"get / HTTP/1.1"),
    "no host": sent(LENGTH, host=b""),
    "two hosts": sent(LENGTH, host=b"host: x\r\nhost: x\r\n"),
    "a host with a path": sent(LENGTH, host=b"host: x/y\r\n"),
    "a host with a user": sent(LENGTH, host=b"host: a@x\r\n"),
    "a host with a space": sent(LENGTH, host=b"host: a x\r\n"),
    "a list of hosts": sent(LENGTH, host=b"host: a, x\r\n"),
    "a host with markup": sent(LENGTH, host=b"host: <script>\r\n"),
    "a chunk size with a prefix": sent(CODING, b"0x" + CHUNKS),
    "a chunk size with a sign": sent(CODING, b"+" + CHUNKS),
    "a negative chunk size": sent(CODING, b"-" + CHUNKS),
    "a chunk size with a space": sent(CODING, CHUNKS.replace(b"7\r\n", b"7 \r\n", 1)),
    "a chunk size past 64 bits": sent(CODING, b"10000000000000000" + CHUNKS),
    "chunks with bare line feeds": sent(CODING, CHUNKS.replace(b"\r\n", b"\n")),
    "a line feed in a chunk's extension": sent(CODING, CHUNKS.replace(b"7\r\n", b"7;a\nb\r\n", 1)),
    "a chunk longer than it says": sent(CODING, CHUNKS.replace(BODY, BODY + b"xx")),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_could_be_read_in_two_ways_is_refused_with_all_that_follows(name: str) -> None:
    answer = answers(SMUGGLED[name] + HIDDEN)
    assert status(answer) == 400
    assert b"\r\nconnection: close\r\n" in answer
    assert b"/hidden" not in answer


FINE: dict[str, tuple[bytes, bytes]] = {
    "chunks": (sent(CODING, CHUNKS), b"/ " + BODY),
    "chunks in capitals": (sent(b"Transfer-Encoding: CHUNKED\r\n", CHUNKS), b"/ " + BODY),
    "a chunk's extension": (sent(CODING, CHUNKS.replace(b"7\r\n", b"7;a=b\r\n", 1)), b"/ " + BODY),
    "trailers": (sent(CODING, CHUNKS[:-2] + b"x-run-id: a\r\n\r\n"), b"/ " + BODY),
    "an address as target": (sent(LENGTH, line=b"POST http://x/a HTTP/1.1"), b"/a " + BODY),
    "no host on HTTP/1.0": (sent(LENGTH, host=b"", line=b"POST / HTTP/1.0"), b"/ " + BODY),
    "an empty host": (sent(LENGTH, host=b"host:\r\n"), b"/ " + BODY),
    "a host of IPv6": (sent(LENGTH, host=b"host: [::1]:8080\r\n"), b"/ " + BODY),
    "an international host": (sent(LENGTH, host=b"host: xn--bcher-kva.example\r\n"), b"/ " + BODY),
    "empty lines first": (b"\r\n\r\n" + sent(LENGTH), b"/ " + BODY),
    "thousands of headers": (sent(b"a: b\r\n" * 5000 + LENGTH), b"/ " + BODY),
}


@pytest.mark.parametrize("name", FINE)
def test_what_has_one_meaning_is_answered(name: str) -> None:
    head, _, body = answers(FINE[name][0]).partition(b"\r\n\r\n")
    assert (status(head), body) == (200, FINE[name][1])


def test_a_head_of_endless_headers_is_refused() -> None:
    assert status(answers(sent(b"a: b\r\n" * 20_000 + LENGTH))) == 431


def test_a_server_that_is_full_refuses_who_comes_and_keeps_who_is_there() -> None:
    async def scenario() -> tuple[bytes, bytes, bytes]:
        async with serving(seen, limits=ConnectionLimits(connections=1)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent(LENGTH, b""))
            await asyncio.sleep(0)
            turned_away = await exchange(port, b"")
            writer.write(BODY)
            async with asyncio.timeout(5):
                first = await reader.read()
            writer.close()
            return turned_away, first, await exchange(port, sent(LENGTH))

    turned_away, first, later = asyncio.run(scenario())
    assert status(turned_away) == 503
    assert b"OVERLOADED" in turned_away
    assert b"\r\nretry-after: " in turned_away
    assert first.endswith(BODY)
    assert later.endswith(BODY)


@pytest.mark.parametrize(
    ("files", "connections"), [(0, 0), (32, 1), (256, 192), (1024, 922), (1 << 20, 943719)]
)
def test_some_of_the_open_files_are_left_to_the_agent(files: int, connections: int) -> None:
    assert connections_within(files) == connections


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, identity", b"x"])
def test_a_compressed_body_is_refused_unread(coding: bytes) -> None:
    async def never(_payload: Any) -> Any:
        raise AssertionError("the agent must not run")

    async def scenario() -> bytes:
        app = app_for(never)
        async with running(app), serving(app) as port:
            head = b"content-encoding: " + coding + b"\r\nconnection: close\r\n" + LENGTH
            return await exchange(port, sent(head, line=b"POST /invoke HTTP/1.1"))

    assert status(asyncio.run(scenario())) == 415
