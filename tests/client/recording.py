"""A recorded run, and a server on a real socket that plays it and cuts its answers where it is told."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import httpx2

from dockrion.events import sse
from dockrion.events.model import Batch, Complete, Custom, Event, Progress, Started, Token

RUN = "r-1"
TIME = "2026-11-24T11:00:00.000Z"
EVENTS: list[Event] = [
    Started("agent", "custom"),
    Token('"é\n🦆'),
    Token("two", node="n"),
    Progress("load", 0.5),
    Custom("thing", {"event": "x\n\ny"}),
    Complete({"content": "x"}, 0.1, {}),
]
LAST = len(EVENTS) - 1
FRAMES = [sse.frames(RUN, Batch([event], n, TIME)) for n, event in enumerate(EVENTS)]
_LAST_ID = re.compile(rb"(?i)\r\nlast-event-id: r-1:(\d+)\r\n")
_FROM = re.compile(rb"from_sequence=(\d+)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)\r\n")


def body_after(sequence: int) -> list[bytes]:
    """Return the pieces of a stream behind an event, with what keeps it alive between them."""
    pieces: list[bytes] = []
    for frame in FRAMES[sequence + 1 :]:
        pieces += [sse.COMMENT_HEARTBEAT, frame]
        if b"event: progress" in frame:
            pieces.append(sse.heartbeat(RUN, TIME))
    return pieces


def streamed(pieces: Iterable[bytes]) -> bytes:
    """Return a whole answer: each piece is a chunk of its own."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-run-id: r-1\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + chunks + b"0\r\n\r\n"


BODY = b"".join(body_after(-1))
WHOLE = streamed(body_after(-1))


class Recording:
    """`cuts`: after so many bytes of one answer after the other their connections end; those after the last are whole.

    `started` counts what would have been runs, `asked` the first lines of requests.
    """

    def __init__(self) -> None:
        self.cuts: Iterator[int] = iter(())
        self.started = 0
        self.asked: list[str] = []
        self.position = -1

    def play(self, cuts: Iterable[int] = ()) -> None:
        self.cuts = iter(cuts)
        self.started = 0
        self.asked = []

    def pieces(self) -> list[bytes]:
        """Return the pieces of the stream that was asked for last."""
        return body_after(self.position)

    def answer(self, request: bytes) -> bytes:
        line, _, _ = request.partition(b"\r\n")
        self.asked.append(line.decode())
        seen = _LAST_ID.search(request)
        first = _FROM.search(line)
        if seen is None and line.startswith(b"POST /invoke/stream"):
            self.started += 1
        position = int(seen[1]) if seen else int(first[1]) - 1 if first else -1
        self.position = position
        if position >= LAST:
            return b"HTTP/1.1 204 No Content\r\nx-run-id: r-1\r\n\r\n"
        return streamed(self.pieces())

    def serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as reader:
            while request := read_request(reader.readline, reader.read):
                answer = self.answer(request)
                cut = next(self.cuts, None)
                client.sendall(answer[:cut])
                if cut is not None and cut < len(answer):
                    client.shutdown(socket.SHUT_RDWR)
                    return


class Rewritten(Recording):
    """Something on the way ends lines as Windows does."""

    def pieces(self) -> list[bytes]:
        return [piece.replace(b"\n", b"\r\n") for piece in super().pieces()]


class Trimmed(Recording):
    """Has no more than the last `KEPT` events, and says so to whoever asks for others."""

    KEPT = 3

    def pieces(self) -> list[bytes]:
        first = LAST + 1 - self.KEPT
        if self.position + 1 >= first:
            return super().pieces()
        gap = sse.gap(RUN, TIME, first=self.position + 1, last=first - 1)
        return [gap, *body_after(first - 1)]


@contextmanager
def playing(recording: Recording) -> Generator[str]:
    """Serve it; give the URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=_accept, args=(listener, recording), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _accept(listener: socket.socket, recording: Recording) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(10)
        threading.Thread(target=_serve, args=(recording, client), daemon=True).start()


def _serve(recording: Recording, client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        recording.serve(client)


class Cutting(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """The same without a network: cuts count from the first byte of the body."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        seen = request.headers.get("last-event-id")
        head = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1\r\n"
        raw = head + (f"last-event-id: {seen}\r\n" if seen else "")
        answer = self._recording.answer(raw.encode())
        status = int(answer[9:12])
        headers = {"content-type": "text/event-stream", "x-run-id": RUN}
        body = b"".join(self._recording.pieces()) if status == 200 else b""
        return httpx2.Response(
            status, headers=headers, stream=_Cut(body, next(self._recording.cuts, None))
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


class _Cut(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes whole, in two pieces, or breaks off."""

    def __init__(self, body: bytes, cut: int | None) -> None:
        self._body = body
        self._cut = cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._body[: self._cut]
        if self._cut is not None:
            raise httpx2.ReadError("cut")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def read_request(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> bytes:
    """Return one whole request, or nothing at the end of the connection."""
    head = b""
    while (line := readline()) not in (b"\r\n", b""):
        head += line
    if not head:
        return b""
    length = _LENGTH.search(head)
    return head + b"\r\n" + read(int(length[1]) if length else 0)
