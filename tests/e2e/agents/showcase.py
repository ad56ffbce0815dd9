"""An agent that emits every kind of event that is numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion import StreamContext

TOKENS = [
    '"quoted"',
    "two\nlines\r\n",
    "a\u2028b\u2029c\x85",
    "nul\x00",
    "🦆 émoji",
    ":hb",
    "",
    "\ufeff",
]
OUTPUT = {"answer": "".join(TOKENS)}


async def handle(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    for token in TOKENS:
        await context.emit_token(token)
    await context.emit_progress("reading", 0.5, "data: half")
    await context.emit_step("look up", 3, ["a"], [])
    await context.checkpoint("draft", {"nested": ["\n\n", {"id": 1}]})
    await context.emit("thing", {"event": "x"})
    return OUTPUT
