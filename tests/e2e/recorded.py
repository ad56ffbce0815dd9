"""A recorded stream with everything that trips parsers, and a server that plays it back cut into pieces."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

RUN_ID = "0b7d6a56-1f0e-4b61-9d0a-2f8a2d6a1c11"
HEARTBEAT = b":hb\n"


class Seen(NamedTuple):
    """One event as a client gives it out; `id` is the event's own, or the one a client would resume with."""

    event: str
    data: str
    id: str | None


def resumable(events: Iterable[Seen]) -> list[Seen]:
    """Give each event the id that a client would send as `Last-Event-ID` after it.

    Some clients keep the last id, as the standard says, others give out what stands in the event itself; this
    is what both must agree on.
    """
    latest: str | None = None
    result: list[Seen] = []
    for event in events:
        latest = event.id or latest
        result.append(event._replace(id=latest))
    return result


def _event(kind: str, sequence: int | None = None, **fields: Any) -> Seen:
    data: dict[str, Any] = {"type": kind, "run_id": RUN_ID, "timestamp": "2025-01-01T00:00:00Z"}
    identifier = None if sequence is None else f"{RUN_ID}:{sequence}"
    if identifier is not None:
        data |= {"id": identifier, "sequence": sequence}
    return Seen(kind, json.dumps({**data, **fields}, ensure_ascii=False), identifier)


TOKENS = [
    '"quoted"',
    "two\nlines\r\n",
    "a\u2028b\u2029c\x85",
    "nul\x00",
    "🦆 émoji",
    ":hb",
    "",
    "\ufeff",
]
EVENTS = [
    _event("started", 0, agent="e2e", agent_name="e2e", framework="custom"),
    *(_event("token", 1 + n, content=text, finish_reason=None) for n, text in enumerate(TOKENS)),
    _event("heartbeat"),
    _event("progress", 9, step="reading", progress=0.5, message="data: half"),
    _event("step", 10, node_name="look up", duration_ms=3, input_keys=["a"], output_keys=[]),
    _event("checkpoint", 11, name="draft", data={"nested": ["\n\n", {"id": 1}]}),
    _event("custom:thing", 12, data={"event": "x"}),
    _event("complete", 13, output={"content": "".join(TOKENS)}, latency=0.1, metadata={}),
]


def _encode(event: Seen) -> bytes:
    identifier = "" if event.id is None else f"id: {event.id}\n"
    return f"event: {event.event}\ndata: {event.data}\n{identifier}\n".encode()


# One heartbeat comment before every event, and two after the last: no blank line of their own.
STREAM = b"".join(HEARTBEAT + _encode(event) for event in EVENTS) + HEARTBEAT * 2


def pieces(cuts: Iterable[int]) -> list[bytes]:
    """Return the stream cut at these offsets."""
    edges = sorted({0, len(STREAM), *cuts})
    return [STREAM[start:end] for start, end in pairwise(edges)]


class _PlayBack(BaseHTTPRequestHandler):
    """Answers a POST of `{"cuts": [...]}`: each piece is a chunk and a write of its own.

    A chunk reaches the reader as one piece even if TCP joins two of them, so the cuts are where they should be.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 10

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces(job["cuts"]):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Write nothing: a request is no news."""


@contextmanager
def playback() -> Generator[str]:
    """Serve the recorded stream; give the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _PlayBack) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
