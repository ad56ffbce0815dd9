"""Long runs that look at memory: `python benchmarks/soak.py short-streams | slow-reader | slow-graph | open-streams`.

Each prints JSON and ends with 1 when a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import loadclient
from loadclient import BenchmarkError, Load
from servers import DOCKRION, PEERS, Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable

_MB = 1024  # in the KB that the kernel counts
_SHORT_STREAMS_GROWTH_KB = 2 * _MB
# The joined text (10 MiB at most) exists as pieces, as a string, as JSON and as bytes when the run ends.
_SLOW_READER_GROWTH_KB = 64 * _MB
_SLOW_READER_HELD_BYTES = 16 * _MB * 1024
_OPEN_STREAM_KB = 18
_TEN_EVENTS = 2500  # bytes
_SLOW_GRAPH_GROWTH_KB = 32 * _MB
_WAITING_SHARE = 0.1  # of a core: a model that did not wait would take all of it


def short_streams(kind: str, scale: float) -> dict[str, Any]:
    """100,000 streams, one after the other on 16 connections: memory is flat after the first fifth."""
    batches = 20
    each = math.ceil(100_000 * scale / batches / 16)
    sampled: list[int] = []
    with serving(kind, "stream") as server:
        for _ in range(batches):
            load = Load(port=server.port, payload={"n": 5}, connections=16, requests=each)
            loadclient.run(load)
            sampled.append(server.resident_kb())
    growth = sampled[-1] - sampled[batches // 5 - 1]
    return {
        "streams": batches * each * 16,
        "resident_kb": sampled,
        "growth_kb": growth,
        "bound_kb": _SHORT_STREAMS_GROWTH_KB,
        "ok": growth <= _SHORT_STREAMS_GROWTH_KB,
    }


def slow_reader(kind: str, scale: float) -> dict[str, Any]:
    """One stream of 10 million tokens, read slower than it could be made: the agent waits, nothing piles up.

    Each token is the clock at which it was made: how late it arrives, times the reading speed, is what was
    held on the way (the buffers of the kernel included).
    """
    tokens = int(10_000_000 * scale)
    with serving(kind, "clocked") as server:
        loadclient.run(Load(port=server.port, payload={"n": 5000}, requests=3))
        before = server.resident_kb()
        load = Load(
            port=server.port,
            payload={"n": tokens},
            delivery=True,
            bytes_per_second=40_000_000,
        )
        report, sampled = _sampling(server, lambda: loadclient.run(load))
        after = server.resident_kb()
    if report.delivery_ms is None:
        raise BenchmarkError("nothing was timed")
    growth = max(sampled) - before
    held = int(report.delivery_ms.p99 / 1e3 * report.bytes / report.seconds)
    return {
        "tokens": tokens,
        "seconds": round(report.seconds, 1),
        "bytes_per_second": round(report.bytes / report.seconds),
        "resident_kb": {"before": before, "highest": max(sampled), "after": after},
        "growth_kb": growth,
        "bound_kb": _SLOW_READER_GROWTH_KB,
        "delivery_ms": {"p50": report.delivery_ms.p50, "p99": report.delivery_ms.p99},
        "held_bytes": held,
        "bound_held_bytes": _SLOW_READER_HELD_BYTES,
        "ok": growth <= _SLOW_READER_GROWTH_KB and held <= _SLOW_READER_HELD_BYTES,
    }


def slow_graph(kind: str, scale: float) -> dict[str, Any]:
    """One graph whose chat model has 300,000 tokens, read at some ten events a second: the model waits."""
    with serving(kind, "graph-model") as server:
        loadclient.run(Load(port=server.port, payload={"n": 5000}, requests=3))
        before, sampled = server.resident_kb(), list[int]()
        load = Load(port=server.port, payload={"n": 300_000}, bytes_per_second=_TEN_EVENTS)
        with loadclient.holding(load):
            # The buffers on the way fill first.
            time.sleep(5)
            cpu_before = server.cpu_seconds()
            seconds = max(1, int(20 * scale))
            for _ in range(seconds):
                time.sleep(1)
                sampled.append(server.resident_kb())
            working = (server.cpu_seconds() - cpu_before) / seconds
    growth = max(sampled) - before
    return {
        "resident_kb": {"before": before, "sampled": sampled},
        "growth_kb": growth,
        "bound_kb": _SLOW_GRAPH_GROWTH_KB,
        "cpu_share_while_waiting": round(working, 4),
        "ok": growth <= _SLOW_GRAPH_GROWTH_KB and working < _WAITING_SHARE,
    }


def open_streams(kind: str, scale: float) -> dict[str, Any]:
    """10,000 streams open at once in one process, which goes on serving others; and once more after that."""
    streams = int(10_000 * scale)
    _raise_file_limit(streams + 200)
    with serving(kind, "stream") as server:
        probe = Load(port=server.port, payload={"n": 5}, requests=50, new_connection=True)
        held = Load(port=server.port, payload={"n": 0, "idle": True}, connections=streams)
        loadclient.run(probe)
        before = server.resident_kb()
        began, cpu_before = time.monotonic(), server.cpu_seconds()
        with loadclient.holding(held):
            opened_after = time.monotonic() - began
            opening_cpu = server.cpu_seconds() - cpu_before
            opened = server.resident_kb()
            meanwhile = loadclient.run(probe)
            cpu_before = server.cpu_seconds()
            time.sleep(5)
            idle_cpu = (server.cpu_seconds() - cpu_before) / 5
        loadclient.run(probe)
        with loadclient.holding(held):
            opened_again = server.resident_kb()
    assert meanwhile.first_event_ms is not None
    kb_a_stream = (opened - before) / streams
    return {
        "streams": streams,
        "opened_after_seconds": round(opened_after, 2),
        "opening_cpu_ms_a_stream": round(opening_cpu / streams * 1e3, 3),
        "resident_kb": {"before": before, "open": opened, "open_again": opened_again},
        "kb_a_stream": round(kb_a_stream, 1),
        "bound_kb_a_stream": _OPEN_STREAM_KB,
        "started_meanwhile_ms": {
            "p50": meanwhile.first_event_ms.p50,
            "max": meanwhile.first_event_ms.max,
        },
        "idle_cpu_share": round(idle_cpu, 4),
        "ok": kb_a_stream <= _OPEN_STREAM_KB and opened_again <= opened * 1.1,
    }


def _sampling(
    server: Server, work: Callable[[], loadclient.Report]
) -> tuple[loadclient.Report, list[int]]:
    """Do `work`, and look at the server's memory four times a second meanwhile."""
    sampled: list[int] = []
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.25):
            sampled.append(server.resident_kb())

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        report = work()
    finally:
        over.set()
        sampler.join()
    return report, sampled


def _raise_file_limit(needed: int) -> None:
    """Raise the limit of open files, which server and client inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchmarkError(
            f"{needed} open files are needed and the hard limit is {hard}: raise it (ulimit -Hn), or take --scale"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


SOAKS = {
    "short-streams": short_streams,
    "slow-reader": slow_reader,
    "slow-graph": slow_graph,
    "open-streams": open_streams,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("soak", choices=[*SOAKS])
    parser.add_argument("--server", choices=[DOCKRION, *PEERS], default=DOCKRION)
    parser.add_argument("--scale", type=float, default=1, help="the part of the work to do (1)")
    options = parser.parse_args()
    try:
        result = SOAKS[options.soak](options.server, options.scale)
    except BenchmarkError as problem:
        print(f"soak: {problem}", file=sys.stderr)
        return 1
    print(json.dumps({"soak": options.soak, "server": options.server, **result}, indent=2))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
