"""What authentication adds to a request: `POST /invoke` of one app with it and one without, in turn, in this process.

    python benchmarks/auth.py [--requests N]

An exchange in memory has no socket and no client to measure beside it, so differences of a microsecond show.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import uvloop

from dockrion.testing import app_for, running

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS = 15
MANY = 100
KEY = "bench-key"


async def answer(_payload: Any) -> Any:
    return {}


def _guarded(keys: int) -> Any:
    for i in range(keys):
        os.environ[f"BENCH_KEY_{i}"] = KEY if i == 0 else f"{KEY}-{i}"
    listed = [{"name": f"key-{i}", "env_var": f"BENCH_KEY_{i}"} for i in range(keys)]
    return app_for(answer, auth={"api_keys": {"keys": listed}})


class _Body:
    """A caller who sends a small body and stays."""

    def __init__(self) -> None:
        self._is_sent = False

    async def receive(self) -> dict[str, Any]:
        if self._is_sent:
            await asyncio.get_running_loop().create_future()
        self._is_sent = True
        return {"type": "http.request", "body": b"{}", "more_body": False}


async def _microseconds(app: Any, headers: Mapping[str, str], requests: int) -> float:
    """Return the mean time of a request."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/invoke",
        "query_string": b"",
        "headers": [(b"host", b"bench"), (b"content-type", b"application/json"), *raw],
    }
    statuses: set[int] = set()

    async def send(message: dict[str, Any]) -> None:
        if "status" in message:
            statuses.add(message["status"])

    began = time.perf_counter()
    for _ in range(requests):
        await app(dict(scope), _Body().receive, send)
    seconds = time.perf_counter() - began
    if statuses != {200}:
        raise SystemExit(f"auth: the app answered {statuses}")
    return seconds / requests * 1e6


async def _measure(requests: int) -> None:
    header, bearer = {"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}
    guarded, crowded = _guarded(1), _guarded(MANY)
    cases: dict[str, tuple[Any, Mapping[str, str]]] = {
        "open": (app_for(answer), {}),
        "api_key": (guarded, header),
        "api_key, as bearer": (guarded, bearer),
        f"api_key, {MANY} keys": (crowded, header),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    async with AsyncExitStack() as stack:
        for app in {id(app): app for app, _ in cases.values()}.values():
            await stack.enter_async_context(running(app))
        for app, headers in cases.values():
            await _microseconds(app, headers, requests // 10)
        gc.freeze()
        for _ in range(ROUNDS):
            for name, (app, headers) in cases.items():
                times[name].append(await _microseconds(app, headers, requests))
    print(f"{'':20} {'us/request':>10} {'added':>7}")
    for name, taken in times.items():
        # Of each round's pair, since the machine's speed changes from round to round.
        added = [one - base for one, base in zip(taken, times["open"], strict=True)]
        print(f"{name:20} {statistics.median(taken):10.1f} {statistics.median(added):7.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="in each of the rounds (2000)")
    options = parser.parse_args()
    uvloop.run(_measure(options.requests))


if __name__ == "__main__":
    main()
