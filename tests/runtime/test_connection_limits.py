"""What a caller may take of a connection before the application decides: size and time."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvicorn

from dockrion.runtime.protocol import ConnectionLimits
from tests.runtime.connections import (
    CHUNKED,
    OK,
    Receive,
    Scope,
    Send,
    echo,
    exchange,
    parsed,
    pieces,
    run,
    serving,
    whole_body,
)

# Size


@pytest.mark.parametrize(
    "sent",
    [
        (b"GET / HTTP/1.1\r\nx-long: " + b"x" * 2000 + b"\r\n\r\n",),
        (b"GET / HTTP/1.1\r\n", *[b"x-many: %d\r\n" % number for number in range(200)]),
        (b"GET /", *[b"x" * 100] * 20),
        (b"GET / HTTP/1.1\r\nx-long: ", *[b"x" * 100] * 20),
    ],
    ids=["at once", "many headers", "a long path", "a long header"],
)
def test_a_head_has_a_size(sent: tuple[bytes, ...]) -> None:
    async def scenario() -> bytes:
        async with serving(echo, limits=ConnectionLimits(head_bytes=1000)) as port:
            return await pieces(port, *sent)

    status, error = parsed(run(scenario()))
    assert status == 431
    assert error == {
        "success": False,
        "error": "The head of the request is larger than 1000 bytes.",
        "code": "PAYLOAD_TOO_LARGE",
        "details": None,
    }


def test_a_large_body_does_not_count_as_head() -> None:
    body = b"x" * 5000
    request = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 5000\r\n\r\n"

    async def scenario() -> bytes:
        async with serving(echo, limits=ConnectionLimits(head_bytes=1000)) as port:
            at_once = await exchange(port, request + body)
            in_pieces = await pieces(port, request, *[b"x" * 500] * 10)
            second = await exchange(port, request.replace(b"close", b"x") + body + request + body)
            assert second.count(b"200 OK") == 2
            assert at_once == in_pieces
            return at_once

    assert run(scenario()).endswith(body)


def test_trailers_have_a_size_and_are_no_headers() -> None:
    trailers = b"0\r\nx-run-id: mine\r\n"

    async def scenario() -> tuple[bytes, bytes]:
        async with serving(echo, limits=ConnectionLimits(head_bytes=1000)) as port:
            one = CHUNKED.replace(b"host: x", b"host: x\r\nconnection: close")
            short = await exchange(port, one + b"2\r\nhi\r\n" + trailers + b"\r\n")
            endless = await pieces(
                port, CHUNKED + b"2\r\nhi\r\n", trailers, *[b"x: y\r\n" * 50] * 9
            )
            return short, endless

    short, endless = run(scenario())
    assert short.endswith(b"\r\n\r\nhi")
    assert b"x-run-id" not in short
    assert parsed(endless)[0] == 431


# Time


@pytest.mark.parametrize(
    ("sent", "part"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n", "head"),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf", "body"),
    ],
)
def test_a_request_has_a_time(sent: bytes, part: str) -> None:
    left: list[BaseException] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except ConnectionError as exc:
            left.append(exc)

    async def scenario() -> bytes:
        limits = ConnectionLimits(head_seconds=0.05, request_seconds=0.05)
        async with serving(app, limits=limits) as port:
            return await exchange(port, sent)

    status, error = parsed(run(scenario()))
    assert status == 408
    assert error["error"] == f"The {part} of the request did not come in time."
    assert error["code"] == "TIMEOUT"
    assert len(left) == (part == "body")


def test_a_request_that_came_whole_has_no_time_any_more() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await whole_body(receive)
        await asyncio.sleep(0.2)
        await send({**OK, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"late"})

    async def scenario() -> bytes:
        limits = ConnectionLimits(head_seconds=0.05, request_seconds=0.05)
        async with serving(app, limits=limits) as port:
            return await pieces(
                port,
                b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n",
                b"content-length: 2\r\n\r\n",
                b"ab",
            )

    assert run(scenario()).endswith(b"late")


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n"], ids=["nothing", "empty lines"])
def test_a_connection_without_a_request_is_closed(sent: bytes) -> None:
    async def scenario() -> bytes:
        async with serving(echo, keep_alive=1) as port:
            return await exchange(port, sent)

    assert run(scenario()) == b""


def test_a_request_that_began_before_the_last_answer_ended_is_not_taken_for_none() -> None:
    requests = b"GET /first HTTP/1.1\r\nhost: x\r\n\r\nGET /second HTTP/1.1\r\nhos"
    rest = b"t: x\r\nconnection: close\r\n\r\n"

    async def scenario() -> bytes:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await send({**OK, "headers": [(b"content-length", b"4")]})
            if scope["path"] == "/second":
                # Longer than an idle connection is kept.
                await asyncio.sleep(0.3)
            await send({"type": "http.response.body", "body": b"done"})

        async with serving(app, keep_alive=0.1) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(requests)
            first = await reader.readuntil(b"done")
            writer.write(rest)
            second = await reader.read()
            writer.close()
            return first + second

    assert run(scenario()).count(b"\r\n\r\ndone") == 2


def test_an_answer_that_came_before_the_end_of_the_body_does_not_keep_the_connection() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    async def scenario() -> bytes:
        async with serving(app, limits=ConnectionLimits(request_seconds=0.05)) as port:
            return await exchange(port, CHUNKED + b"1\r\nx\r\n")

    assert run(scenario()).count(b"HTTP/1.1") == 1


LONG_BODIES = {
    "long": b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n",
    "chunked": CHUNKED,
    "promised": (
        b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 70000\r\n\r\n"
    ),
}


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**OK, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


@pytest.mark.parametrize("request_head", LONG_BODIES.values(), ids=LONG_BODIES)
def test_the_rest_of_a_long_body_is_not_read_after_the_answer(request_head: bytes) -> None:
    async def scenario() -> bytes:
        async with serving(refuse) as port:
            return await exchange(port, request_head)

    head, _, body = run(scenario()).partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert body == b"no"


def test_after_an_answer_the_rest_of_a_short_body_is_read_and_the_connection_kept() -> None:
    start = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n"

    async def scenario() -> tuple[bytes, bytes]:
        async with serving(refuse) as port, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start)
            first = await reader.readuntil(b"\r\n\r\nno")
            writer.write(bytes(65536) + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            second = await reader.readuntil(b"\r\n\r\nno")
            writer.close()
            return first, second

    first, second = run(scenario())
    assert b"connection: close" not in first + second


@pytest.mark.parametrize("asked_to", ["keep-alive", "close"])
def test_after_a_long_body_that_was_read_the_connection_is_kept_if_its_caller_wants(
    asked_to: str,
) -> None:
    start = f"POST / HTTP/1.1\r\nhost: x\r\nconnection: {asked_to}\r\ncontent-length: 70000\r\n\r\n"

    async def scenario() -> bytes:
        async with serving(echo) as port, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(start.encode())
            for _ in range(7):
                await asyncio.sleep(0.001)
                writer.write(b"x" * 10_000)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return head

    assert (b"connection: close" in run(scenario())) == (asked_to == "close")


def test_a_long_body_does_not_keep_the_connection_of_a_server_that_stops() -> None:
    servers: list[uvicorn.Server] = []
    begun = asyncio.Event()

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await echo(scope, receive, send)

    async def scenario() -> bytes:
        async with serving(begin, on_server=servers.append) as port, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LONG_BODIES["long"])
            await begun.wait()
            (connection,) = servers[0].server_state.connections
            connection.shutdown()
            writer.write(bytes(65537))
            answer = await reader.read()
            writer.close()
            return answer

    assert b"\r\nconnection: close" in run(scenario()).partition(b"\r\n\r\n")[0]


# Callers that take nothing


def test_a_caller_that_takes_nothing_of_an_answer_is_dropped() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        length = 64 << 20
        await send({**OK, "headers": [(b"content-length", str(length).encode())]})
        await send({"type": "http.response.body", "body": bytes(length)})

    servers: list[uvicorn.Server] = []

    async def scenario(*, reads: bool) -> int:
        limits = ConnectionLimits(write_seconds=0.4)
        async with serving(app, limits=limits, on_server=servers.append) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            received = len(await reader.read(1))
            if not reads:
                while servers[0].server_state.connections:
                    await asyncio.sleep(0.01)
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(1 << 20):
                    received += len(piece)
                    # Slowly, but it does take something.
                    await asyncio.sleep(0.001)
            writer.close()
            servers.clear()
            return received

    assert run(scenario(reads=False)) < 64 << 20
    assert run(scenario(reads=True)) > 64 << 20
