"""An agent that says a text word by word, with as many pauses, and asks before it ends when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion import StreamContext


async def handle(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    for word in payload["text"].split():
        await context.emit_token(f"{word} ")
        await asyncio.sleep(payload.get("seconds", 0))
    if payload.get("ask"):
        answer = await context.ask({"question": "Send it?", "text": payload["text"]})
        await context.emit_token(f"The answer is {answer}.")
    return {"content": payload["text"]}
