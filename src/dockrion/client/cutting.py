"""Breaking a connection off in time, for a thread that waits for it."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Timer

import httpx2


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
    stream = response.extensions.get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if not isinstance(sock, socket.socket) or not response.http_version.startswith("HTTP/1"):
        return None
    return Cutter(sock, seconds)
