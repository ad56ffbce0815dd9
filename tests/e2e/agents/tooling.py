"""An agent that others use as a tool: it says a text again, word by word, or does what it is told instead."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dockrion import StreamContext

FORM = {
    "message": "Who are you?",
    "schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    },
}


async def handle(payload: dict[str, Any], context: StreamContext) -> AsyncIterator[Any]:
    with Path("calls").open("a") as calls:
        calls.write(f"{json.dumps(payload)}\n")
    match payload.get("do"):
        case "fail":
            yield "Well, "
            raise RuntimeError("I cannot")
        case "ask":
            answer = await context.ask("Really?")
            yield f"You said {answer}."
        case "form":
            yield f"You are {json.dumps(await context.ask(FORM))}."
        case "both":
            answers = await asyncio.gather(context.ask("One?"), context.ask("Two?"))
            yield f"You said {' and '.join(answers)}."
        case "thread":
            yield context.thread_id
        case _:
            words = payload.get("text", "").split()
            for number, word in enumerate(words, 1):
                await context.emit_progress("saying", number / len(words), f"word {number}")
                yield f"{word} "
