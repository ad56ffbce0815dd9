"""An identity provider for tests: a real HTTP server on a free port, whose answers a test decides."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import msgspec


class Asked(NamedTuple):
    method: str
    headers: dict[str, str]
    form: dict[str, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Callers do not wait for an answer that is late.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Provider:
    """Answers with `status` and `body`, or that of `bodies` for the token it is asked about.

    It holds each request back while `gate` is closed.

    With `drips` it is never silent and never done.
    """

    def __init__(self) -> None:
        self.status = 200
        self.body = b"{}"
        self.bodies: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.gate = threading.Event()
        self.gate.set()
        self.drips = False
        self.url = ""
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    def answer(self, data: Any, *, status: int = 200) -> None:
        self.body = msgspec.json.encode(data)
        self.status = status

    def start(self) -> None:
        """Serve, on the port it had before, if it had one."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet; of two, the second waits for an acknowledgement.
            wbufsize = -1

            def do_GET(self) -> None:
                provider.serve(self)

            def do_POST(self) -> None:
                provider.serve(self)

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

        server = _Server(("127.0.0.1", self._port), Handler)
        self._port = server.server_address[1]
        self.url = f"http://127.0.0.1:{self._port}/asked"
        self._server = server
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse all further connections; those that are open end with their next request."""
        self.headers = {"Connection": "close"}
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        sent = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(sent).items()}
        self.asked.append(Asked(handler.command, dict(handler.headers), form))
        self.gate.wait(30)
        if self._server is None:
            handler.close_connection = True
            return
        body = self.bodies.get(form.get("token", ""), self.body)
        handler.send_response(self.status)
        for name, value in {"Content-Length": str(len(body)), **self.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if not self.drips:
            handler.wfile.write(body)
            return
        with suppress(OSError):
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(0.02)


@contextmanager
def running_provider() -> Generator[Provider]:
    provider = Provider()
    provider.start()
    try:
        yield provider
    finally:
        provider.gate.set()
        provider.stop()
