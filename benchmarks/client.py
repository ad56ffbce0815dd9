"""What the Python client makes of a stream: events a second, from bytes to typed events.

    python benchmarks/client.py [--events N]

`parse`: bytes as a socket gives them, to events, on one core. `sync`, `async`: the same through a whole client, with httpx2
and a socket, whose other end is in this process and in the figure.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import threading
import time
from typing import TYPE_CHECKING

from dockrion.client import AsyncClient, Client
from dockrion.client.events import read_event
from dockrion.events import sse
from dockrion.events.model import Batch, Complete, Event, Progress, Started, Token, ToolCall
from dockrion.events.sse_parser import EventParser

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

RUN = "0b7d6a56-1f0e-4b61-9d0a-2f8a2d6a1c11"
TIME = "2026-11-24T11:00:00.000Z"
ROUNDS = 5
# One token at a time, as a model gives them; what a socket has when the reader is a little late; a full buffer.
PIECES = {"one_event": 0, "16_KiB": 16 << 10, "64_KiB": 64 << 10}
TARGET = 100_000


def _events(count: int) -> list[Event]:
    """Return a run as agents have them: nearly all tokens."""
    events: list[Event] = [Token(f"word{n} ", node="answer") for n in range(count - 2)]
    events[::50] = [Progress("reading", 0.5, "half")] * len(events[::50])
    events[7::100] = [ToolCall("search", "c1", {"query": "why"})] * len(events[7::100])
    return [Started("bench", "custom"), *events, Complete({"content": "x"}, 1.0, {})]


def _pieces(frames: list[bytes], size: int) -> list[bytes]:
    if not size:
        return frames
    body = b"".join(frames)
    return [body[start : start + size] for start in range(0, len(body), size)]


def _parse(pieces: list[bytes]) -> int:
    parser = EventParser()
    count = 0
    for piece in pieces:
        for frame in parser.feed(piece):
            read_event(frame)
            count += 1
    return count


def _rate(count: int, work: Callable[[], int], clock: Callable[[], float]) -> dict[str, float]:
    """Return the events a second of the best round and of the one in the middle."""
    rates: list[float] = []
    for _ in range(ROUNDS):
        began = clock()
        assert work() == count
        rates.append(count / (clock() - began))
    return {"best": round(max(rates)), "median": round(statistics.median(rates))}


@contextlib.contextmanager
def _serving(body: bytes) -> Generator[str]:
    """Answer each connection with the stream, and give the URL."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-run-id: %b\r\nconnection: close\r\n\r\n"
        % RUN.encode()
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(head + body)
                        client.shutdown(socket.SHUT_WR)
                        # Closed with something unread, the connection would be reset.
                        while client.recv(65536):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _sync(url: str) -> int:
    with Client(url) as client, client.stream({}) as events:
        return sum(1 for _ in events)


def _async(url: str) -> int:
    async def read() -> int:
        async with AsyncClient(url) as client, client.stream({}) as events:
            return sum([1 async for _ in events])

    return asyncio.run(read())


def measure(count: int) -> dict[str, dict[str, float]]:
    frames = [
        sse.frames(RUN, Batch([event], number, TIME)) for number, event in enumerate(_events(count))
    ]
    results: dict[str, dict[str, float]] = {}
    for name, size in PIECES.items():
        pieces = _pieces(frames, size)
        results[f"parse_{name}"] = _rate(
            count, lambda pieces=pieces: _parse(pieces), time.process_time
        )
    serving: AbstractContextManager[str] = _serving(b"".join(frames))
    with serving as url:
        results["sync"] = _rate(count, lambda: _sync(url), time.process_time)
        results["async"] = _rate(count, lambda: _async(url), time.process_time)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    arguments = parser.parse_args()
    results = measure(arguments.events)
    print(
        json.dumps(
            {"events": arguments.events, "target": TARGET, "events_a_second": results}, indent=2
        )
    )


if __name__ == "__main__":
    main()
