"""What telemetry costs: a server with all of it on and one without, in turn, on the same work.

    python benchmarks/telemetry.py [--rounds N] [--quick] [--out FILE]

On: traces to a collector, a log line for each request. Off: no traces, no lines. The counting behind `/metrics` is in both.
Prints JSON with the CPU of the server process, and what being on adds to it: the median of the rounds' differences.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import loadclient
from loadclient import BenchmarkError, Load
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from servers import DOCKRION, serving

QUICK_SCALE = 0.2
# The last spans leave when their batch is full, or after so many seconds.
SEND_SECONDS = 0.5
BUDGETS = {"invoke": 60.0, "short-stream": 60.0, "async-stream": 3.0, "graph-model": 3.0}


def _requests(scale: float, path: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"path": path, "payload": payload, "connections": 16, "requests": int(1000 * scale)}


def _workloads(scale: float) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return by name the agent, the unit, and the load."""
    return {
        "invoke": ("reply", "us/request", _requests(scale, "/invoke", {"n": 5})),
        "short-stream": ("stream", "us/request", _requests(scale, "/invoke/stream", {"n": 5})),
        "async-stream": ("stream", "s/million", {"payload": {"n": int(600_000 * scale)}}),
        "graph-model": ("graph-model", "s/million", {"payload": {"n": int(20_000 * scale)}}),
    }


class Collector:
    """Takes what is sent, answers at once, and counts afterwards."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> int:
        count = 0
        for body in self.bodies:
            request = ExportTraceServiceRequest()
            request.ParseFromString(body)
            count += sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        return count


@contextmanager
def _collecting() -> Generator[Collector]:
    collector = Collector()
    threading.Thread(target=collector.server.serve_forever, daemon=True).start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        collector.server.server_close()


def _measure(agent: str, unit: str, load: dict[str, Any], *, collector: Collector | None) -> float:
    otlp = "" if collector is None else f"\n  otlp: {{endpoint: '{collector.url}'}}"
    tracing = "false" if collector is None else "true"
    sections = f"observability:\n  tracing: {tracing}{otlp}\n"
    variables = {
        "LOG_LEVEL": "warn" if collector is None else "info",
        "OTEL_BSP_SCHEDULE_DELAY": str(int(SEND_SECONDS * 1000)),
    }
    with serving(DOCKRION, agent, sections=sections, variables=variables) as server:
        warm: dict[str, Any] = {**load, "connections": 16, "requests": 20}
        if unit == "s/million":
            warm["payload"] = {"n": 2000}
        loadclient.run(Load(port=server.port, **warm))
        before = server.cpu_seconds()
        report = loadclient.run(Load(port=server.port, **load))
        time.sleep(2 * SEND_SECONDS)
        spent = server.cpu_seconds() - before
    return spent * 1e6 / (report.events if unit == "s/million" else report.completed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each has its turn (5)")
    parser.add_argument("--quick", action="store_true", help="one round of a fifth of the work")
    parser.add_argument("--only", action="append", choices=[*BUDGETS])
    parser.add_argument("--out", type=Path, help="write the JSON into this file")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    figures: dict[str, Any] = {}
    for name, (agent, unit, load) in _workloads(QUICK_SCALE if options.quick else 1).items():
        if options.only and name not in options.only:
            continue
        off: list[float] = []
        on: list[float] = []
        spans = 0
        for turn in range(rounds):
            off.append(_measure(agent, unit, load, collector=None))
            with _collecting() as collector:
                on.append(_measure(agent, unit, load, collector=collector))
                spans = collector.spans()
            print(f"{name} {turn + 1}/{rounds}: {off[-1]:.3f} {on[-1]:.3f}", file=sys.stderr)
        figures[name] = {
            "unit": unit,
            "off": round(statistics.median(off), 3),
            "on": round(statistics.median(on), 3),
            "added": round(statistics.median([a - b for a, b in zip(on, off, strict=True)]), 3),
            "budget": BUDGETS[name],
            "spans": spans,
        }
    text = json.dumps({"rounds": rounds, "figures": figures}, indent=2)
    if options.out:
        options.out.write_text(f"{text}\n")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as problem:
        sys.exit(f"telemetry: {problem}")
