"""A WebSocket beside an event stream, on a real server: prints JSON.

`idle_kb`: memory of a connection whose run waits for its agent, and of one without a run. `events_per_second` and
`cpu_us_per_event`: one run flat out, for a client that reads all it gets. `slow`: what the server holds for 100 clients that
read 64 KiB/s of runs without end. `pings_per_second`, `runs_per_second`: small messages one after the other, all of them
sent at once or each after the last answer.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from servers import DOCKRION, Server, serving

HOST = "127.0.0.1"
SECTIONS = "  streaming: [sse, websocket]\n"
WAITS = {"n": 0, "idle": True}
ROUNDS = 3
IDLE = 500
EVENTS = 300_000
SLOW = 100
SLOW_SECONDS = 5.0
SLOW_BYTES_PER_SECOND = 64 << 10
SMALL = 5_000


def main() -> None:
    result = {
        "idle_kb": {
            "event stream": alone(idle, waiting_stream),
            "websocket": alone(idle, waiting_run),
            "websocket, no run": alone(idle, connected),
        },
        "fast": {"event stream": alone(fast, streaming), "websocket": alone(fast, running)},
        "slow": {"event stream": alone(slow, streaming), "websocket": alone(slow, running)},
        "pings_per_second": alone(pings, connected),
        "runs_per_second": {
            "event stream": alone(small, kept_alive),
            "websocket": alone(small, one_socket),
        },
    }
    print(json.dumps(result, indent=2))


def alone(measured: Callable[[Server, Any], Any], way: Any) -> Any:
    """Measure with a server that has seen nothing else: what others leave behind would be there for it."""
    with serving(DOCKRION, "stream", sections=SECTIONS) as server:
        return measured(server, way)


def idle(server: Server, opened: Callable[[Server], socket.socket]) -> float:
    # What the first connections make is there for all.
    for one in [opened(server) for _ in range(50)]:
        one.close()
    time.sleep(0.5)
    before = server.resident_kb()
    held = [opened(server) for _ in range(IDLE)]
    time.sleep(0.5)
    grown = server.resident_kb() - before
    for one in held:
        one.close()
    time.sleep(0.5)
    return round(grown / IDLE, 1)


def fast(server: Server, opened: Callable[[Server, Any], socket.socket]) -> dict[str, float]:
    best = (float("inf"), float("inf"))
    for _ in range(ROUNDS):
        spent, began = server.cpu_seconds(), time.perf_counter()
        with opened(server, {"n": EVENTS}) as one:
            until(one, b'"type":"complete"')
        seconds = time.perf_counter() - began
        best = min(best, (server.cpu_seconds() - spent, seconds))
    cpu, seconds = best
    return {
        "events_per_second": round(EVENTS / seconds),
        "cpu_us_per_event": round(cpu / EVENTS * 1e6, 2),
    }


def slow(server: Server, opened: Callable[[Server, Any], socket.socket]) -> dict[str, float]:
    before, spent = server.resident_kb(), server.cpu_seconds()
    clients = [opened(server, {"n": 10_000_000}) for _ in range(SLOW)]
    ends = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < ends:
        for one in clients:
            one.recv(SLOW_BYTES_PER_SECOND // 10)
        time.sleep(0.1)
    grown, cpu = server.resident_kb() - before, server.cpu_seconds() - spent
    for one in clients:
        one.close()
    return {
        "kb_each": round(grown / SLOW, 1),
        "cpu_share": round(cpu / SLOW_SECONDS, 3),
    }


def pings(server: Server, opened: Callable[[Server], socket.socket]) -> int:
    with opened(server) as one:
        began = time.perf_counter()
        one.sendall(text_frame(b'{"type":"ping"}') * SMALL)
        seen, tail = 0, b""
        while seen < SMALL:
            data = tail + one.recv(1 << 16)
            seen += data.count(b'"pong"')
            tail = data[-5:]
        return round(SMALL / (time.perf_counter() - began))


def small(server: Server, run: Callable[[Server, int], None]) -> int:
    count = SMALL // 10
    began = time.perf_counter()
    run(server, count)
    return round(count / (time.perf_counter() - began))


def kept_alive(server: Server, count: int) -> None:
    with socket.create_connection((HOST, server.port)) as one:
        for _ in range(count):
            one.sendall(post({"n": 1}))
            until(one, b"0\r\n\r\n")


def one_socket(server: Server, count: int) -> None:
    with connected(server) as one:
        for _ in range(count):
            one.sendall(run_message({"n": 1}))
            until(one, b'"type":"complete"')


def waiting_stream(server: Server) -> socket.socket:
    return streaming(server, WAITS)


def waiting_run(server: Server) -> socket.socket:
    return running(server, WAITS)


def streaming(server: Server, payload: Any) -> socket.socket:
    one = socket.create_connection((HOST, server.port))
    one.sendall(post(payload))
    until(one, b'"type":"started"')
    return one


def running(server: Server, payload: Any) -> socket.socket:
    one = connected(server)
    one.sendall(run_message(payload))
    until(one, b'"type":"started"')
    return one


def connected(server: Server) -> socket.socket:
    one = socket.create_connection((HOST, server.port))
    one.sendall(
        b"GET /invoke/ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    until(one, b"\r\n\r\n")
    return one


def post(payload: Any) -> bytes:
    body = json.dumps(payload).encode()
    head = (
        b"POST /invoke/stream HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n"
    )
    return head % len(body) + body


def run_message(payload: Any) -> bytes:
    return text_frame(json.dumps({"type": "run", "payload": payload}).encode())


def text_frame(data: bytes) -> bytes:
    """Frame a short message as a client does."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))
    head = (
        bytes((0x81, 0x80 | len(data)))
        if len(data) < 126
        else struct.pack("!BBH", 0x81, 0xFE, len(data))
    )
    return head + mask + masked


def until(one: socket.socket, end: bytes) -> None:
    tail = b""
    while end not in tail:
        data = one.recv(1 << 18)
        if not data:
            raise EOFError("the server has closed the connection")
        tail = tail[-len(end) :] + data


if __name__ == "__main__":
    main()
