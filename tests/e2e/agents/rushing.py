"""An agent that says so many tokens a second, some of them Markdown; or all at once more than anybody wants to see."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

EVENTS = 50_000
CHARACTERS = 10_000_000


async def handle(payload: dict[str, Any]) -> AsyncIterator[Any]:
    if "shape" in payload:
        for one in shaped(payload["shape"]):
            yield one
        yield "end"
        return
    started = time.monotonic()
    for number in range(payload["count"]):
        if number % 200 == 150:
            yield "\n\n- an item, **bold** and `code`\n\n"
        else:
            yield "end.\n\n" if number % 40 == 39 else f"word{number} "
        early = started + number / payload["rate"] - time.monotonic()
        if early > 0.002:
            await asyncio.sleep(early)


def shaped(shape: str) -> Iterator[Any]:
    match shape:
        case "paragraphs":
            yield "Low *water* comes **first**.\n\n" * (CHARACTERS // 30)
        case "line":
            yield "Low water comes first. " * (CHARACTERS // 23)
        case "code":
            yield "```python\n"
            for _ in range(1000):
                yield "height = 2.1 + 1.8 * cos(hour)\n" * 100
        case "list":
            for number in range(10_000):
                yield f"- water **{number}**\n"
        case "table":
            yield "| time | height |\n|---|---:|\n"
            for number in range(10_000):
                yield f"| {number} | *low* |\n"
        case "tools":
            for number in range(EVENTS):
                call = {"tool": "tides", "call_id": str(number)}
                yield {"type": "tool_call", **call, "arguments": {"at": number}}
                result = {"output": "low", "duration_ms": 1.0, "error": None}
                yield {"type": "tool_result", **call, **result}
        case "custom":
            for number in range(2 * EVENTS):
                yield {"type": f"custom:kind_{number % 50}", "data": {"number": number}}
        case _:
            raise ValueError(shape)
