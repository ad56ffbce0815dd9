"""Which requests open a WebSocket."""

from __future__ import annotations

import pytest

from dockrion.runtime.websocket.handshake import accept_of, switching

# The example of RFC 6455, section 1.3.
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    b"host": b"x",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": KEY,
    b"sec-websocket-version": b"13",
}


def test_the_example_of_the_standard() -> None:
    assert accept_of(b"GET", "1.1", list(GOOD.items())) == ACCEPT


@pytest.mark.parametrize(
    "change",
    [
        {b"connection": b"keep-alive, Upgrade"},
        {b"upgrade": b"WebSocket"},
        {b"upgrade": b"h2c, websocket"},
        {b"content-length": b"0"},
    ],
)
def test_other_ways_to_say_it(change: dict[bytes, bytes]) -> None:
    assert accept_of(b"GET", "1.1", list({**GOOD, **change}.items())) == ACCEPT


@pytest.mark.parametrize(
    "change",
    [
        {b"connection": b"keep-alive"},
        {b"upgrade": b"h2c"},
        {b"sec-websocket-key": b""},
        {b"sec-websocket-key": b"c2hvcnQ="},
        {b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ"},
        {b"sec-websocket-key": b"not base64 at all, but long"},
        {b"sec-websocket-version": b"8"},
        {b"sec-websocket-version": b"13, 8"},
        {b"content-length": b"5"},
        {b"transfer-encoding": b"chunked"},
    ],
)
def test_what_asks_wrongly_opens_nothing(change: dict[bytes, bytes]) -> None:
    assert accept_of(b"GET", "1.1", list({**GOOD, **change}.items())) is None


def test_neither_do_other_methods_and_versions_nor_two_keys() -> None:
    headers = list(GOOD.items())
    assert accept_of(b"POST", "1.1", headers) is None
    assert accept_of(b"GET", "1.0", headers) is None
    assert accept_of(b"GET", "1.1", [*headers, (b"sec-websocket-key", KEY)]) is None
    for missing in (b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version"):
        assert accept_of(b"GET", "1.1", [h for h in headers if h[0] != missing]) is None


def test_the_application_says_nothing_of_the_handshake_itself() -> None:
    head = switching(
        ACCEPT, [(b"x-request-id", b"r"), (b"Sec-WebSocket-Extensions", b"permessage-deflate")]
    )
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nx-request-id: r\r\n" in head
    assert b"permessage-deflate" not in head
