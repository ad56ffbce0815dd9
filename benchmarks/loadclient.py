"""Owns the load client: builds `load/` with the C compiler at first use, runs it, reads its report."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Generator

_HERE = Path(__file__).resolve().parent
_SOURCES = _HERE / "load"
_BUILD = _HERE / ".build"


class BenchmarkError(Exception):
    """A figure that would be wrong: something is missing, or the server did not answer as it should."""


class Times(msgspec.Struct, frozen=True):
    """Milliseconds."""

    count: int
    p50: float
    p90: float
    p99: float
    max: float


class Report(msgspec.Struct, frozen=True):
    """What the client saw; every stream ended as expected and had no gap, or there is no report."""

    requests: int
    completed: int
    events: int
    bytes: int
    seconds: float
    client_cpu_seconds: float
    first_byte_ms: Times | None
    first_event_ms: Times | None
    whole_ms: Times | None
    delivery_ms: Times | None
    errors: dict[str, int]
    last_bad_status: int


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One load: `connections` that each send `requests`, one after the other."""

    port: int
    payload: dict[str, Any]
    path: str = "/invoke/stream"
    connections: int = 1
    requests: int = 1
    spread_ms: float = 0
    pause_ms: float = 0
    duration_ms: float = 0
    bytes_per_second: int = 0
    delivery: bool = False
    new_connection: bool = False
    key: str | None = None

    def arguments(self) -> list[str]:
        plain = self.path == "/invoke"
        values = {
            "port": self.port,
            "path": self.path,
            "body": json.dumps(self.payload),
            "connections": self.connections,
            "requests": self.requests,
            "spread-ms": self.spread_ms,
            "pause-ms": self.pause_ms,
            "duration-ms": self.duration_ms,
            "bytes-per-second": self.bytes_per_second,
            "end": '"success":true' if plain else "complete",
        }
        switches = {
            "plain": plain,
            "delivery": self.delivery,
            "new-connection": self.new_connection,
        }
        return [
            *(text for name, value in values.items() for text in (f"--{name}", str(value))),
            *(f"--{name}" for name, on in switches.items() if on),
            *(() if self.key is None else ("--key", self.key)),
        ]


def run(load: Load) -> Report:
    """Run a load to its end."""
    done = subprocess.run(
        [binary(), "run", *load.arguments()], stdout=subprocess.PIPE, text=True, check=False
    )
    return _checked(done.stdout)


@contextmanager
def holding(load: Load) -> Generator[None]:
    """Open all streams of a load, and keep reading them until the block ends; then leave."""
    process = subprocess.Popen(
        [binary(), "run", "--hold", *load.arguments()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if '"open"' not in line:
            raise BenchmarkError(f"streams did not stay open: {line.strip()}")
        opened = int(json.loads(line)["open"])
        if opened != load.connections:
            raise BenchmarkError(f"{opened} of {load.connections} streams are open")
        yield
    finally:
        process.communicate(timeout=30)


def capacity() -> dict[str, float]:
    """Measure what the client itself can take, from a server that only writes what it has in memory."""
    done = subprocess.run(
        [binary(), "capacity", "--requests", "40"], stdout=subprocess.PIPE, text=True, check=False
    )
    report = _checked(done.stdout)
    return {
        "events_per_second": round(report.events / report.seconds),
        "bytes_per_second": round(report.bytes / report.seconds),
        "cpu_seconds_per_million_events": round(report.client_cpu_seconds / report.events * 1e6, 4),
    }


def _checked(output: str) -> Report:
    if not output:
        raise BenchmarkError("the load client failed; its message is above")
    report = msgspec.json.decode(output, type=Report)
    if any(report.errors.values()) or report.completed != report.requests:
        raise BenchmarkError(
            f"{report.completed} of {report.requests} answers were right; "
            f"errors: {report.errors}, last status {report.last_bad_status}"
        )
    return report


@cache
def binary() -> str:
    """Return the path of the client, compiled if its sources have changed since the last time."""
    if not sys.platform.startswith("linux"):
        raise BenchmarkError("the benchmarks need Linux: the client uses epoll, the figures /proc")
    sources = sorted(_SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    target = _BUILD / f"load-{digest}"
    if target.exists():
        return str(target)
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchmarkError(
            "the load client is a C program and there is no C compiler: "
            "install gcc (Debian: apt-get install gcc libc6-dev), or set CC"
        )
    _BUILD.mkdir(exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}")
    command = [compiler, "-std=gnu11", "-O2", "-o", str(draft)]
    files = [str(path) for path in sources if path.suffix == ".c"]
    try:
        done = subprocess.run([*command, *files], stderr=subprocess.PIPE, text=True, check=False)
    except OSError as exc:
        raise BenchmarkError(f"the C compiler {compiler!r} does not run: {exc}") from exc
    if done.returncode != 0:
        raise BenchmarkError(f"the load client does not compile:\n{done.stderr}")
    draft.replace(target)
    return str(target)
