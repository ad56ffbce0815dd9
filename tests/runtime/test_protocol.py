"""The server's HTTP protocol on real sockets: what callers of either version get to read."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from tests.runtime.connections import App, Receive, Scope, Send, exchange, serving


def streaming(*pieces: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> App:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers or []})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_http_1_0_gets_a_stream_without_chunks_that_ends_with_the_connection() -> None:
    async def scenario() -> bytes:
        async with serving(streaming(b"one ", b"two")) as port:
            return await exchange(port, b"GET / HTTP/1.0\r\n\r\n")

    assert run(scenario()) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\none two"


def test_http_1_1_still_gets_chunks() -> None:
    async def scenario() -> bytes:
        async with serving(streaming(b"one ", b"two")) as port:
            request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            return await exchange(port, request)

    head, _, body = run(scenario()).partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"


def test_http_1_0_gets_each_piece_as_it_is_sent() -> None:
    may_go_on = threading.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
        await asyncio.to_thread(may_go_on.wait, 10)
        await send({"type": "http.response.body", "body": b"late"})

    async def scenario() -> tuple[bytes, bytes]:
        async with serving(app) as port, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            early = await reader.readexactly(5)
            may_go_on.set()
            late = await reader.read()
            writer.close()
            await writer.wait_closed()
            return early, late

    assert run(scenario()) == (b"early", b"late")


def test_http_1_0_keeps_a_declared_length() -> None:
    app = streaming(b"seven", b"ty", headers=[(b"content-length", b"7")])

    async def scenario() -> bytes:
        async with serving(app) as port:
            return await exchange(port, b"GET / HTTP/1.0\r\n\r\n")

    answer = run(scenario())
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nseventy"


@pytest.mark.parametrize(
    "header",
    [
        (b"connection", b"keep-alive"),
        (b"Connection", b"Keep-Alive"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"timeout=5"),
    ],
)
def test_http_1_0_never_sees_what_the_application_says_of_the_connection(
    header: tuple[bytes, bytes],
) -> None:
    app = streaming(b"text", headers=[header, (b"content-type", b"text/plain")])

    async def scenario() -> bytes:
        async with serving(app) as port:
            return await exchange(port, b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")

    answer = run(scenario())
    assert answer == b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\ntext"


def test_http_1_0_head_has_no_body() -> None:
    async def scenario() -> bytes:
        async with serving(streaming(b"text")) as port:
            return await exchange(port, b"HEAD / HTTP/1.0\r\n\r\n")

    assert run(scenario()) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


def test_http_1_0_post_reads_its_body_and_is_never_told_to_continue() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    async def scenario() -> bytes:
        async with serving(echo) as port:
            request = b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello"
            return await exchange(port, request)

    assert run(scenario()) == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


def test_an_application_that_fails_midway_closes_an_http_1_0_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("the other half is missing")

    async def scenario() -> bytes:
        async with serving(app) as port:
            return await exchange(port, b"GET / HTTP/1.0\r\n\r\n")

    assert run(scenario()).endswith(b"\r\n\r\nhalf")
    assert "the other half is missing" in caplog.text


def test_one_connection_may_speak_http_1_1_first_and_http_1_0_last() -> None:
    async def scenario() -> bytes:
        async with serving(streaming(b"text")) as port:
            requests = b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n"
            return await exchange(port, requests)

    first, second = run(scenario()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first == b"transfer-encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n"
    assert second == b"connection: close\r\n\r\ntext"


def test_the_application_sees_what_has_not_left_and_can_drop_the_connection() -> None:
    unsent: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = scope["extensions"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        unsent.append(extensions["dockrion.transport"].unsent())
        # More than any socket buffer takes while nobody reads.
        await send({"type": "http.response.body", "body": bytes(64 << 20), "more_body": True})
        unsent.append(extensions["dockrion.transport"].unsent())
        extensions["dockrion.transport"].abort()

    async def scenario() -> int:
        async with serving(app) as port, asyncio.timeout(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            received = 0
            try:
                while piece := await reader.read(1 << 16):
                    received += len(piece)
            except ConnectionError:
                pass  # an aborted connection may be reset
            writer.close()
            return received

    received = run(scenario())

    assert unsent[0] == 0
    assert unsent[1] > 1 << 20
    assert received < 64 << 20
