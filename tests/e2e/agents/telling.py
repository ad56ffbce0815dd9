"""An agent whose answers are hard to show: wide, long, from right to left, with tasks, code and many questions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext

PARAGRAPH = "A paragraph that is long enough to be broken into several lines of any answer.\n\n"
TEXTS = {
    "both ways": "From left to right.\n\nברכה, `code` גם.\n\n- דבר אחד\n- דבר שני\n",
    "code": f"{PARAGRAPH * 40}```python\nheight = 2.1\n```\n",
    "table": "| Harbour | Kilometres | Description | Observations |\n|---|---|---|---|\n| Brest | 1 | a | b |\n",
    "tasks": "- [ ] tides\n- [x] [moon](https://example.com/Moon_(Earth))\n",
}


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    match payload["show"]:
        case "wide":
            yield {"report": "wide " * 400, "lines": 3}
        case "questions":
            asked = ("First?", {"message": "Second?", "at": 4}, {"prompt": "Third?"})
            said = await asyncio.gather(*(context.ask(one) for one in asked))
            yield f"You said {' and '.join(map(str, said))}."
        case "later":
            yield "Wait. "
            await asyncio.sleep(0.6)
            yield f"You said {await context.ask('Now?')}."
        case "steps":
            call = {"tool": "tides", "call_id": "1"}
            yield {"type": "tool_call", **call, "arguments": {"log": "deep " * 100}}
            yield {"type": "tool_result", **call, "output": "low", "duration_ms": 1, "error": None}
            yield "one "
            await asyncio.sleep(0.2)
            yield {"type": "step", "node_name": "speak", "duration_ms": 10_000}
        case "many":
            for number in range(60):
                await context.emit("found", {"number": number})
                await asyncio.sleep(0.01)
            yield "Found."
        case shape:
            yield TEXTS[shape]


async def converse(payload: dict[str, Any]) -> AsyncIterator[str]:
    said = payload["messages"][-1]["content"]
    yield f"You have said **{said}**.\n\n"
    for _ in range(12):
        await asyncio.sleep(0.01)
        yield PARAGRAPH
    yield f"End of {said}."
