"""An agent that gives secrets away in every way there is; the payload says which."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion import StreamContext

CARD = "4111 1111 1111 1111"
EMAIL = "jane.doe@mail.example.org"
KEY = "sk-abcdefghijklmnopqrstuvwx"
SSN = "078-05-1120"
ALL = f"card {CARD}, mail {EMAIL}, key {KEY}, number {SSN}."

logger = logging.getLogger("the agent")


async def handle(payload: dict[str, Any], context: StreamContext) -> Any:
    match payload["way"]:
        case "tokens":
            size = payload["size"]
            for start in range(0, len(ALL), size):
                await context.emit_token(ALL[start : start + size])
            return None
        case "a growing address":
            for piece in ("to jane", ".doe", "@mail", ".example", ".org", " ok"):
                await context.emit_token(piece)
            return None
        case "keys of a step":
            await context.emit_step(EMAIL, 1.0, [CARD, KEY], [SSN])
        case "a checkpoint":
            await context.checkpoint(SSN, {"deep": [{KEY: [CARD]}], "number": 4111111111111111})
        case "a custom event":
            await context.emit("note", {"to": EMAIL}, card=CARD)
        case "progress":
            await context.emit_progress(KEY, 0.5, f"mailing {EMAIL}")
        case "an exception":
            raise ValueError(f"cannot charge {CARD}; told {EMAIL}, {KEY}, {SSN}")
        case "a long exception":
            raise ValueError("x" * payload["before"] + f" {EMAIL} {CARD}")
        case "the log":
            logger.warning(
                "charging %s", CARD, extra={"mail": EMAIL, "deep": {KEY: [SSN]}, "run_id": EMAIL}
            )
            try:
                raise RuntimeError(EMAIL)
            except RuntimeError:
                logger.exception("failed for %s", KEY)
        case way:
            assert way == "the output"
            return {"text": ALL, EMAIL: {"deep": [CARD, KEY]}, "number": 4111111111111111}
    return {"done": True}


async def tool_call(payload: dict[str, Any]) -> Any:
    """Yields events as mappings, with text that was JSON once."""
    arguments = json.loads('{"to": "jane.doe\\u0040mail.example.org", "card": 4111111111111111}')
    yield {"type": "tool_call", "tool": "mail", "call_id": "1", "arguments": arguments}
    yield {"type": "tool_result", "tool": "mail", "call_id": "1", "output": CARD, "error": KEY}
    yield {"done": True}
