"""Callers that send something else than requests, or go away: what becomes of their connections."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

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
)

# What cannot be read


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x00"])
def test_what_is_no_request_is_400_in_the_form_of_every_error(sent: bytes) -> None:
    async def scenario() -> bytes:
        async with serving(echo) as port:
            return await exchange(port, sent)

    status, error = parsed(run(scenario()))
    assert status == 400
    assert error["code"] == "VALIDATION_ERROR"


def test_what_comes_behind_a_request_does_not_get_into_its_answer() -> None:
    went_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await went_on.wait()
        await send({"type": "http.response.body", "body": b"two"})

    async def scenario() -> bytes:
        async with serving(app) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"one\r\n")
            writer.write(b"no request at all\r\n\r\n")
            await asyncio.sleep(0.05)
            went_on.set()
            rest = await reader.read()
            writer.close()
            return rest

    assert run(scenario()) == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_caller_that_is_still_sending_reads_why_it_was_refused() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers = [(b"content-length", b"9"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"too large"})

    async def scenario() -> bytes:
        async with serving(app) as port:
            chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
            return await pieces(port, CHUNKED, *[chunk] * 64, b"0\r\n\r\n")

    assert run(scenario()).endswith(b"\r\n\r\ntoo large")


def test_an_answer_without_a_body_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": [(b"content-length", b"0"), (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b""})

    async def scenario() -> bytes:
        async with serving(app) as port:
            return await exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")

    assert run(scenario()).endswith(b"connection: close\r\n\r\n")


# Offers of other protocols

OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "H2C": b"connection: keep-alive, upgrade\r\nupgrade: H2C\r\n",
    "websocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n",
    "TLS": b"Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n",
}
BODY = b'{"text":"\\r\\nupgrade: h2c\\r\\nh2c"}'


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
def test_an_offer_of_another_protocol_is_left_unanswered_and_the_body_is_read(offer: bytes) -> None:
    request = b"POST /%b HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b"
    last = request % (b"b", b"Connection: close\r\n", len(BODY), BODY)
    both = request % (b"a", offer, len(BODY), BODY) + last

    async def scenario() -> None:
        async with serving(echo) as port:
            expected = await exchange(port, both)
            assert expected.count(BODY) == 2
            assert expected.count(b"200 OK") == 2
            assert b"upgrade" not in expected.lower().replace(BODY, b"")
            for cut in range(1, len(both), 3):
                assert await pieces(port, both[:cut], both[cut:]) == expected

    run(scenario())


def test_thousands_of_offers_in_one_packet_are_read_one_after_the_other() -> None:
    offer = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

    async def scenario() -> bytes:
        async with serving(echo) as port:
            return await exchange(port, offer * 2000 + last)

    assert run(scenario()).count(b"HTTP/1.1 200 OK") == 2001


def test_nobody_is_connected_elsewhere() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 405, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def scenario() -> bytes:
        async with serving(app) as port:
            return await exchange(
                port, b"CONNECT /x HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\n\r\n"
            )

    assert run(scenario()).count(b"HTTP/1.1") == 1


# Callers that leave


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_every_request_of_a_connection_hears_that_its_caller_went_away(requests: int) -> None:
    heard: list[str] = []
    begun = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        begun.set()
        await receive()
        while (await receive())["type"] != "http.disconnect":
            pass
        heard.append(scope["path"])

    async def scenario() -> None:
        async with serving(app) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(requests):
                writer.write(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number)
                await asyncio.sleep(0.01)
            await begun.wait()
            writer.close()
            while not heard:
                await asyncio.sleep(0.01)

    run(scenario())
    # Those behind it never began.
    assert heard == ["/0"]


def test_dropping_a_connection_is_no_error_of_the_application(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**OK, "headers": []})
        scope["extensions"]["dockrion.transport"].abort()
        await asyncio.sleep(0)

    async def scenario() -> None:
        async with serving(app) as port:
            with contextlib.suppress(ConnectionError):
                await exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")

    run(scenario())
    assert not caplog.records
