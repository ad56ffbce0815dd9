"""The agents that every server of the benchmarks serves: dockrion through a Dockfile, the peers by import.

One agent plays all parts, as its payload says, so that loads can be mixed on one server:
`n` tokens flat out; with `interval` (seconds) paced, each token being the clock at which it was made;
with `idle`, nothing after the start until the caller leaves.
"""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

# What language models emit: short pieces, some with characters that JSON or UTF-8 must work for.
TOKENS = (
    "The", " answer", " is", " that", " a", ' "stream', '"', " of", " token", "s", ",\n", " each",
    " é", "crit", " by", " itself", ",", " arrives", " as", " soon", " as", " it", " has",
    " been", " made", ".", "\n\n", "for", " i", " in", " range", "(", "10", "):", "\n\t",
    "print", "(i", ")", " →", " done", ".",
)  # fmt: skip


async def stream(payload: dict[str, Any]) -> AsyncGenerator[str]:
    interval = payload.get("interval")
    if payload.get("idle"):
        await asyncio.Event().wait()
    if interval is None:
        for token in islice(cycle(TOKENS), payload["n"]):
            yield token
        return
    for _ in range(payload["n"]):
        await asyncio.sleep(interval)
        yield str(time.monotonic_ns())


def sync_stream(payload: dict[str, Any]) -> Generator[str]:
    interval = payload.get("interval")
    if interval is None:
        yield from islice(cycle(TOKENS), payload["n"])
        return
    for _ in range(payload["n"]):
        time.sleep(interval)
        yield str(time.monotonic_ns())


async def clocked(payload: dict[str, Any]) -> AsyncGenerator[str]:
    """Flat out, each token being the clock: how late it arrives tells how much was held in between."""
    for _ in range(payload["n"]):
        yield str(time.monotonic_ns())


async def reply(payload: dict[str, Any]) -> dict[str, Any]:
    return {"content": f"You asked for {payload['n']}."}
