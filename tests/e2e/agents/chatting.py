"""An agent that people talk to: it says back what they say, word by word, with a tool on the way, or fails as told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockrion.telemetry.base import Usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    said = payload["messages"][-1]["content"]
    with Path("calls").open("a") as calls:
        calls.write(f"{said}\n")
    if said == "fail":
        yield "Well, "
        raise RuntimeError("I cannot")
    if said == "thread":
        yield context.thread_id
        return
    if said == "ask":
        answer = await context.ask("Really?")
        yield f"You said {answer}."
        return
    if said == "count":
        # As adapters of frameworks do.
        context.used(Usage(input=3, output=4))
        yield "Seven."
        return
    if said == "tool":
        yield {"type": "tool_call", "tool": "add", "call_id": "c1", "arguments": {"a": 1, "b": 2}}
        yield {"type": "tool_result", "tool": "add", "call_id": "c1", "output": 3}
        yield "It is 3."
        return
    for word in said.split(" "):
        yield f"{word} "
