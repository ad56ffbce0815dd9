"""An agent that never gives the event loop back, once it has told its test so."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def handle(payload: dict[str, Any]) -> AsyncIterator[str]:
    yield "one"
    with socket.create_connection(("127.0.0.1", payload["puppet"]), timeout=30) as strings:
        strings.sendall(b"here\n")
        while True:
            pass
