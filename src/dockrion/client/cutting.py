"""Breaking a connection off in time, for a thread that waits for it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock, Timer
from typing import Any, Final

import httpx2

_OPENED: Final = ("connect_tcp.complete", "start_tls.complete")


class Cutter:
    """Shuts the socket down after so many seconds, unless it was told to let it be: whoever reads sees its end."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._socket = sock
        self._lock = Lock()
        self._is_over = False
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def let_be(self) -> None:
        """From here on the socket belongs to somebody else."""
        with self._lock:
            self._is_over = True
        self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            if self._is_over:
                return
            with suppress(OSError):
                # Not the method of an SSL socket, which forgets its session under the reader's hands.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def cutter_of(response: httpx2.Response, seconds: float) -> Cutter | None:
    """Return None for what has no socket of its own: transports of tests, connections of HTTP/2."""
    sock = _socket_of(response.extensions.get("network_stream"))
    if sock is None or not response.http_version.startswith("HTTP/1"):
        return None
    return Cutter(sock, seconds)


def opened_socket(event: str, info: Mapping[str, Any]) -> socket.socket | None:
    """Return the socket that a connection has got, where that is what an event of the `trace` extension of httpx2 tells."""
    return _socket_of(info.get("return_value")) if event.endswith(_OPENED) else None


def _socket_of(stream: Any) -> socket.socket | None:
    sock = None if stream is None else stream.get_extra_info("socket")
    return sock if isinstance(sock, socket.socket) else None
