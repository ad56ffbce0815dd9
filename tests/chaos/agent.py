"""The agent of all nodes: it notes each of its starts beside itself, and does what its payload says."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockrion import StreamContext

FOLDER = Path(__file__).parent


async def handle(payload: dict[str, Any], context: StreamContext) -> Any:
    _note(context, "started")
    try:
        await _work(payload, context)
    except BaseException:
        _note(context, "left")
        raise
    _note(context, "ended")
    return {"done": payload.get("name")}


async def _work(payload: dict[str, Any], context: StreamContext) -> None:
    for number in range(payload.get("tokens", 0)):
        await context.emit_token(f"{number} ")
        await asyncio.sleep(payload.get("pause", 0))
    if "block" in payload:
        time.sleep(payload["block"])
    if "question" in payload:
        await context.ask(payload["question"])
    while "gate" in payload and not _is_open(payload["gate"]):
        await asyncio.sleep(0.01)
    for number in range(payload.get("then", 0)):
        await context.emit_token(f"and {number} ")


def sync_handle(payload: dict[str, Any], context: StreamContext) -> Any:
    _note(context, "started")
    time.sleep(payload["block"])
    for number in range(payload.get("then", 0)):
        context.sync_emit_token(f"and {number} ")
    _note(context, "ended")
    return {"done": payload.get("name")}


def _is_open(gate: str) -> bool:
    """Say whether a run may go on; the attempts of a process that is not named wait for ever."""
    path = FOLDER / "gates" / gate
    return path.exists() and path.read_text() in ("", str(os.getpid()))


def _note(context: StreamContext, what: str) -> None:
    line = json.dumps({"what": what, "run": context.run_id, "pid": os.getpid()})
    # One write to a file that is open to append: what several processes write does not mix.
    with (FOLDER / "notes").open("a") as notes:
        notes.write(line + "\n")
