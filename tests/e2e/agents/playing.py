"""An agent with something for every part of the playground: Markdown, steps, tools, progress, a question, a failure."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext

ANSWER = """## Tides of {city}

The **moon** pulls at the water, and so does the *sun*. See [the tables](https://example.com/tides)
and `harbour.height(now)`.

| time  | height |
|-------|-------:|
| 04:12 | 0.4 m  |
| 10:31 | 3.9 m  |

1. Low water comes first.
2. Then the flood:
   - slowly,
   - then *fast*.

```python
def height(hour: float) -> float:
    return 2.1 + 1.8 * cos(hour / 6.2 * pi)
```

> No HTML of mine is ever more than text: <img src=x onerror=alert(1)> <b>bold?</b>
"""


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    pause = payload.get("pause", 0.0)
    yield {"type": "progress", "step": "looking up", "progress": 0.25, "message": "tables"}
    yield {
        "type": "tool_call",
        "tool": "tides",
        "call_id": "1",
        "arguments": {"at": payload["city"]},
    }
    await asyncio.sleep(pause * 8)
    yield {
        "type": "tool_result",
        "tool": "tides",
        "call_id": "1",
        "output": {"high": "10:31"},
        "duration_ms": pause * 8000,
        "error": None,
    }
    yield {"type": "progress", "step": "looking up", "progress": 1.0}
    await context.emit_step("think", 12.5, ["city"], ["answer"])
    await context.checkpoint("draft", {"words": 3})
    await context.emit("found", {"tables": 2})
    if payload.get("fail"):
        raise RuntimeError("the harbour is closed")
    questions = ["Send it to the harbour?", "Send it to the pilot?"][
        : payload.get("questions", int(payload.get("ask", False)))
    ]
    if questions:
        asking = [context.ask({"question": one, "options": ["yes", "no"]}) for one in questions]
        yield f"You said {' and '.join(await asyncio.gather(*asking))}.\n\n"
    for word in ANSWER.format(city=payload["city"]).split(" "):
        yield f"{word} "
        await asyncio.sleep(pause)
    for number in range(payload.get("more", 0)):
        yield f"word{number} "
        await asyncio.sleep(pause)


async def converse(payload: dict[str, Any]) -> AsyncIterator[str]:
    said = payload["messages"]
    yield f"You have said {len([one for one in said if one['role'] == 'user'])} things. "
    yield f"The last was **{said[-1]['content']}**."
