"""An agent that computes in its own async code, and so blocks the loop, until its test has seen the last token.

Neither the agent nor the server can tell that from a long computation.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from dockrion import StreamContext

COMPUTATION_SECONDS = 0.05


async def handle(payload: dict[str, Any], context: StreamContext) -> None:
    for token in _computed(payload):
        await context.emit_token(token)


async def generate(payload: dict[str, Any]) -> AsyncIterator[str]:
    for token in _computed(payload):
        yield token


def _computed(payload: dict[str, Any]) -> Iterator[str]:
    with socket.create_connection(("127.0.0.1", payload["puppet"]), timeout=30) as strings:
        if payload["computes_first"]:
            time.sleep(COMPUTATION_SECONDS)
        for number in range(payload["tokens"]):
            yield str(number)
            strings.recv(1)
            time.sleep(COMPUTATION_SECONDS)
