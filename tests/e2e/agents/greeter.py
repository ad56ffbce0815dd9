"""An agent that needs nobody: it greets whatever the payload asks, in awkward characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion import StreamContext

TOKENS = ['"Quoted"', " line\nbreak", " \u2028", " \x00", " 🦆 é", ""]


async def handle(payload: dict[str, Any], context: StreamContext) -> dict[str, Any]:
    for token in TOKENS:
        await context.emit_token(token)
    return {"query": payload.get("query"), "answer": "".join(TOKENS)}
