"""An agent for tasks: it says back what it hears, asks, fails, waits for ever, or for another call that lets it go on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext

GATES: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    said = payload["messages"][-1]["content"]
    command, _, rest = said.partition(" ") if isinstance(said, str) else ("parts", "", "")
    match command:
        case "fail":
            yield "Well, "
            raise RuntimeError("I cannot")
        case "ask":
            yield "Well. "
            answer = await context.ask("Really?")
            yield f"You said {answer}."
        case "wait":
            yield "first "
            await asyncio.Event().wait()
        case "gated":
            for number in range(20):
                yield f"{number} "
            await GATES[rest].wait()
            for number in range(20, 40):
                yield f"{number} "
        case "open":
            GATES[rest].set()
            yield "opened"
        case "tool":
            yield {"type": "tool_call", "tool": "add", "call_id": "c", "arguments": {"a": 1}}
            yield {"type": "tool_result", "tool": "add", "call_id": "c", "output": 3}
            yield "It is 3."
        case "object":
            yield {"total": 3, "items": [1, None, "x"]}
        case "thread":
            yield str(context.thread_id)
        case "parts":
            yield {"parts": said}
        case "many":
            for number in range(int(rest)):
                yield f"{number} "
        case _:
            for word in said.split(" "):
                yield f"{word} "
