"""An agent of a page: it does what people tell it, with everything that a page can show."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    said = payload["messages"][-1]["content"]
    with Path("calls").open("a") as calls:
        calls.write(f"{said}\n")
    match said:
        case "fail":
            yield "Well, "
            raise RuntimeError("I cannot")
        case "ask":
            yield "Hm. "
            call = {"tool": "send", "call_id": "s1"}
            yield {"type": "tool_call", **call, "arguments": {"to": "ann"}}
            sure = await context.ask("Really?")
            yield {"type": "tool_result", **call, "output": "sent"}
            colour = await context.ask({"which": "colour"})
            yield f"You said {sure} and {colour}."
        case "tool":
            for name, result in (("add", {"output": 3}), ("find", {"error": "not there"})):
                call = {"tool": name, "call_id": "c1"}
                yield {"type": "tool_call", **call, "arguments": {"a": 1, "b": 2}}
                yield {"type": "tool_result", **call, **result}
            yield "It is 3."
        case "data":
            yield {"type": "progress", "step": "look", "progress": 0.5}
            await context.emit("weather", {"id": "w", "sky": "grey"})
            yield "Look: "
            await context.emit("weather", {"id": "w", "sky": "blue"})
            yield {"type": "step", "node_name": "look"}
            yield {"type": "checkpoint", "name": "seen", "data": [1]}
        case "history":
            yield " ".join(f"{one['role']}:{one['content']}" for one in payload["messages"])
        case _:
            for word in said.split(" "):
                yield f"{word} "
            while said.startswith("wait") and not Path("go").exists():
                await asyncio.sleep(0.02)
            yield "end"
