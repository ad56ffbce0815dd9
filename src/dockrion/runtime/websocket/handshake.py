"""Opening a WebSocket (RFC 6455, section 4.2): which requests ask for one as they should, and the answers. No I/O."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1
from http import HTTPStatus
from typing import Final

Headers = Sequence[tuple[bytes, bytes]]

VERSION: Final = b"13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Of the handshake itself: an application does not say them.
_OURS: Final = frozenset(
    {
        b"connection",
        b"upgrade",
        b"sec-websocket-accept",
        b"sec-websocket-extensions",
        b"content-length",
        b"transfer-encoding",
    }
)


def accept_of(method: bytes, version: str, headers: Headers) -> bytes | None:
    """Return the `Sec-WebSocket-Accept` of a request that asks for a WebSocket as it should; else None."""
    if method != b"GET" or version != "1.1":
        return None
    keys: list[bytes] = []
    versions: list[bytes] = []
    upgrades = connects = False
    for name, value in headers:
        if name == b"upgrade":
            upgrades |= b"websocket" in _tokens(value)
        elif name == b"connection":
            connects |= b"upgrade" in _tokens(value)
        elif name == b"sec-websocket-key":
            keys.append(value.strip())
        elif name == b"sec-websocket-version":
            versions.append(value.strip())
        elif name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0"):
            # A body would be read as frames.
            return None
    if not upgrades or not connects or versions != [VERSION] or len(keys) != 1:
        return None
    if not _is_key(keys[0]):
        return None
    return b64encode(sha1(keys[0] + _GUID, usedforsecurity=False).digest())


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def switching(accept: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head that opens the WebSocket. No extension is offered: none is needed to bound what comes in."""
    return b"".join(
        (
            b"HTTP/1.1 101 Switching Protocols\r\n",
            b"upgrade: websocket\r\nconnection: Upgrade\r\n",
            b"sec-websocket-accept: %b\r\n" % accept,
            *(b"%b: %b\r\n" % header for header in headers if header[0].lower() not in _OURS),
            b"\r\n",
        )
    )


def refusing(status: int, headers: Headers, body: bytes) -> bytes:
    """Return the answer to a request that gets no WebSocket; its connection ends with it, unless `headers` say otherwise."""
    known = {name.lower() for name, _ in headers}
    lines = [*headers]
    if b"content-length" not in known:
        lines.append((b"content-length", b"%d" % len(body)))
    if b"connection" not in known:
        lines.append((b"connection", b"close"))
    reason = HTTPStatus(status).phrase.encode()
    head = b"".join(b"%b: %b\r\n" % line for line in lines)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, head, body)
