"""Owns what is measured: one entry for each row of the table, with its budget and its peers.

A figure is taken on a server started for it alone and warmed up; CPU is counted from before the first to
after the last request, start and stop left out.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import loadclient
import msgspec
from loadclient import BenchmarkError, Load, Report, Times
from servers import DOCKRION, EACH, FASTAPI, GUARDED, JOINED, KEY, dockrion_command, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Server

    Figures = dict[str, float]
    Measure = Callable[[str, float], Figures]

TOKENS_A_SECOND = 20
_INTERVAL = 1 / TOKENS_A_SECOND
_HERE = Path(__file__).resolve().parent
_BUSY_CLIENT = 0.7  # of its core; the highest seen is 0.4, with a read for each token
_LATEST_MS = 5  # how long the server may go on after the last byte, before its CPU time is read


@dataclass(frozen=True)
class Metric:
    """One figure of a workload; with `budget_of`, the budget is a multiple of that peer's figure."""

    title: str
    unit: str
    budget: float | None = None
    budget_of: str | None = None
    digits: int = 2


@dataclass(frozen=True)
class Workload:
    """`measure(server kind, scale)` gives one value for each of `metrics`; a scale under 1 does less work."""

    metrics: dict[str, Metric]
    servers: tuple[str, ...]
    measure: Measure


def _flat_out(agent: str, *, streams: int, tokens: int, slow: dict[str, float]) -> Measure:
    """CPU per token of streams that run as fast as they can; `slow` servers get a part of the tokens."""

    def measure(kind: str, scale: float) -> Figures:
        each = int(tokens * scale * slow.get(kind, 1) / streams)
        with serving(kind, agent) as server:
            loadclient.run(Load(port=server.port, payload={"n": 5000}, requests=2, key=KEY))
            load = Load(port=server.port, payload={"n": each}, connections=streams, key=KEY)
            report, spent = _metered(server, load)
        return {"cpu": spent / report.events * 1e6}

    return measure


def _paced(agent: str, *, streams: int) -> Measure:
    """CPU per token, and how late tokens arrive, of streams at the speed of a language model."""

    def measure(kind: str, scale: float) -> Figures:
        tokens = int(160 * scale)
        with serving(kind, agent) as server:
            loadclient.run(Load(port=server.port, payload={"n": 1, "interval": 0.01}, requests=50))
            load = Load(
                port=server.port,
                payload={"n": tokens, "interval": _INTERVAL},
                connections=streams,
                spread_ms=1025,  # no multiple of the interval: the tokens spread over it
                delivery=True,
            )
            report, spent = _metered(server, load)
        return {"cpu": spent / report.events * 1e6, "p99": _times(report.delivery_ms).p99}

    return measure


def _requests(agent: str, *, path: str, payload: dict[str, Any]) -> Measure:
    """CPU of a request, on connections that are kept open."""

    def measure(kind: str, scale: float) -> Figures:
        with serving(kind, agent) as server:
            load = Load(
                port=server.port, path=path, payload=payload, connections=16, requests=20, key=KEY
            )
            loadclient.run(load)
            several = msgspec.structs.replace(load, requests=int(600 * scale))
            report, spent = _metered(server, several)
        return {"cpu": spent / report.completed * 1e3}

    return measure


def _idle(kind: str, scale: float) -> Figures:
    """Memory of a stream that waits for its agent."""
    streams = int(2000 * scale)
    with serving(kind, "stream") as server:
        loadclient.run(Load(port=server.port, payload={"n": 5}, connections=16, requests=20))
        before = server.resident_kb()
        with loadclient.holding(
            Load(port=server.port, payload={"n": 0, "idle": True}, connections=streams)
        ):
            time.sleep(0.5)
            grown = server.resident_kb() - before
    return {"memory": grown / streams}


def _started_beside(payload: dict[str, Any], *, streams: int, requests: int) -> Measure:
    """How long a new caller waits for `started` while the server is busy with others."""

    def measure(kind: str, scale: float) -> Figures:
        with serving(kind, "stream") as server:
            loadclient.run(Load(port=server.port, payload={"n": 5}, connections=16, requests=20))
            load = Load(port=server.port, payload=payload, connections=streams, spread_ms=1025)
            with loadclient.holding(load):
                probe = Load(
                    port=server.port,
                    payload={"n": 5},
                    requests=int(requests * scale),
                    pause_ms=10,
                    duration_ms=6000,
                    new_connection=True,
                )
                started = _times(loadclient.run(probe).first_event_ms)
        return {"p50": started.p50, "p99": started.p99}

    return measure


def _graph(name: str, *, tokens: int) -> Measure:
    """CPU per token of a graph's stream, whole path, and over LangGraph's own `astream` without a server."""

    def measure(kind: str, scale: float) -> Figures:
        each = int(tokens * scale)
        command = [sys.executable, str(_HERE / "graphs.py"), name, str(each)]
        bare = float(subprocess.run(command, capture_output=True, check=True).stdout)
        whole = _flat_out(f"graph-{name}", streams=1, tokens=tokens, slow={})(kind, scale)["cpu"]
        return {"cpu": whole, "over": whole - bare}

    return measure


def _start(kind: str, scale: float) -> Figures:
    """From the command to the first good answer of `/ready`, and the memory after it."""
    del scale
    with serving(kind, "reply") as server:
        time.sleep(0.3)
        return {
            "ready": server.ready_seconds,
            "cpu": server.ready_cpu_seconds,
            "memory": server.resident_kb() / 1024,
        }


def _commands(kind: str, scale: float) -> Figures:
    """CPU of the import and of the help, over that of Python alone, in turn."""
    del kind
    commands = {
        "bare": [sys.executable, "-c", "pass"],
        "import": [sys.executable, "-c", "import dockrion"],
        "help": [dockrion_command(), "--help"],
    }
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(max(3, int(8 * scale))):
        for name, command in commands.items():
            spent[name].append(_cpu_ms_of(command))
    middle = {name: statistics.median(values) for name, values in spent.items()}
    return {name: middle[name] - middle["bare"] for name in ("import", "help")}


def _cpu_ms_of(command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"exit code {process.returncode}: {' '.join(command)}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


def _metered(server: Server, load: Load) -> tuple[Report, float]:
    before = server.cpu_seconds()
    report = loadclient.run(load)
    if report.client_cpu_seconds > _BUSY_CLIENT * report.seconds:
        raise BenchmarkError("the client was as busy as the server: this figure would be its own")
    time.sleep(_LATEST_MS / 1e3)
    return report, server.cpu_seconds() - before


def _times(times: Times | None) -> Times:
    if times is None:
        raise BenchmarkError("nothing was timed")
    return times


_PER_MILLION = "CPU s per million tokens"

WORKLOADS: dict[str, Workload] = {
    "async-stream": Workload(
        {"cpu": Metric("one async stream flat out", _PER_MILLION, 1.2)},
        (DOCKRION, JOINED, EACH, FASTAPI),
        _flat_out("stream", streams=1, tokens=1_000_000, slow={EACH: 0.5, FASTAPI: 0.3}),
    ),
    "sync-stream": Workload(
        {"cpu": Metric("one sync stream from its thread", _PER_MILLION, 1.2)},
        (DOCKRION, JOINED, FASTAPI),
        _flat_out("sync_stream", streams=1, tokens=1_000_000, slow={FASTAPI: 0.03}),
    ),
    "many-streams": Workload(
        {"cpu": Metric("64 async streams flat out", _PER_MILLION, 1.4)},
        (DOCKRION, JOINED, FASTAPI),
        _flat_out("stream", streams=64, tokens=1_280_000, slow={FASTAPI: 0.3}),
    ),
    "paced-async": Workload(
        {
            "cpu": Metric("500 async streams at 20 tokens/s", _PER_MILLION, 1.4, JOINED, 1),
            "p99": Metric("the same: delivery, p99", "ms", 5),
        },
        (DOCKRION, JOINED, FASTAPI),
        _paced("stream", streams=500),
    ),
    "paced-sync": Workload(
        {
            "cpu": Metric("500 sync streams at 20 tokens/s", _PER_MILLION, 1.3, JOINED, 1),
            "p99": Metric("the same: delivery, p99", "ms", 30),
        },
        (DOCKRION, JOINED),
        _paced("sync_stream", streams=500),
    ),
    "idle-stream": Workload(
        {"memory": Metric("memory of an idle stream", "KB", 18, digits=1)},
        (DOCKRION, JOINED, FASTAPI),
        _idle,
    ),
    "short-stream": Workload(
        {"cpu": Metric("a stream of 5 tokens", "CPU ms", 0.13, digits=3)},
        (DOCKRION, JOINED, FASTAPI),
        _requests("stream", path="/invoke/stream", payload={"n": 5}),
    ),
    "invoke": Workload(
        {"cpu": Metric("a plain `/invoke`", "CPU ms", 0.07, digits=3)},
        (DOCKRION, JOINED, FASTAPI),
        _requests("reply", path="/invoke", payload={"n": 5}),
    ),
    "guarded-stream": Workload(
        {"cpu": Metric("one async stream, API key, four redaction rules", _PER_MILLION, 26.2)},
        (DOCKRION,),
        _flat_out(f"stream{GUARDED}", streams=1, tokens=300_000, slow={}),
    ),
    "guarded-invoke": Workload(
        {"cpu": Metric("a plain `/invoke`, API key, four rules", "CPU ms", 0.1, digits=3)},
        (DOCKRION,),
        _requests(f"reply{GUARDED}", path="/invoke", payload={"n": 5}),
    ),
    "start": Workload(
        {
            "ready": Metric("start to ready of a handler", "s", 0.7),
            "cpu": Metric("the same", "CPU s"),
            "memory": Metric("idle memory", "MB", 65, digits=0),
        },
        (DOCKRION, JOINED, FASTAPI),
        _start,
    ),
    "started-paced": Workload(
        {
            "p50": Metric("`started` beside 500 paced streams, p50", "ms"),
            "p99": Metric("the same, p99", "ms", 5),
        },
        (DOCKRION, JOINED),
        _started_beside({"n": 1_000_000, "interval": _INTERVAL}, streams=500, requests=300),
    ),
    "started-flat": Workload(
        {
            "p50": Metric("`started` beside 64 streams flat out, p50", "ms", 100, digits=1),
            "p99": Metric("the same, p99", "ms", digits=1),
        },
        (DOCKRION, JOINED),
        _started_beside({"n": 100_000_000}, streams=64, requests=100),
    ),
    "graph-writer": Workload(
        {
            "cpu": Metric("a LangGraph node's stream writer", _PER_MILLION),
            "over": Metric("the same, over `graph.astream` alone", _PER_MILLION, 3),
        },
        (DOCKRION,),
        _graph("writer", tokens=300_000),
    ),
    "graph-model": Workload(
        {
            "cpu": Metric("a chat model in a LangGraph node", _PER_MILLION),
            "over": Metric("the same, over `graph.astream` alone", _PER_MILLION, 3),
        },
        (DOCKRION,),
        _graph("model", tokens=100_000),
    ),
    "commands": Workload(
        {
            "import": Metric("`import dockrion` over bare Python", "CPU ms", 60, digits=0),
            "help": Metric("`dockrion --help` over bare Python", "CPU ms", 150, digits=0),
        },
        (DOCKRION,),
        _commands,
    ),
}
