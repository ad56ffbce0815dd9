"""A server on a real socket that does with each request as the test says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from tests.client.recording import read_request

Answering = Callable[[socket.socket], None]


class Peer:
    """A server that reads a request and then does as it is told with the connection; `left` says that the client went."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.left = threading.Event()
        self.answering: Answering = lambda _client: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            client.settimeout(20)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._with_tls(client) as client,
            client.makefile("rb") as reader,
        ):
            try:
                while request := read_request(reader.readline, reader.read):
                    self.requests.append(request)
                    self.answering(client)
            finally:
                self.left.set()

    def _with_tls(self, client: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(client, server_side=True) if self._tls else client
