"""An agent that does what an agent should not: `do` says which of its deeds."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockrion import StreamContext

BLOCK_SECONDS = 0.4


async def handle(payload: dict[str, Any], context: StreamContext) -> Any:
    if payload["do"] == "emit":
        # In JSON no payload can hold half of a surrogate pair.
        text = payload["text"].replace("<half a pair>", "\ud800")
        await context.emit_token(text * payload.get("times", 1))
        return None
    return DEEDS[payload["do"]]()


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def raises() -> NoReturn:
    raise ValueError("there is no model at /srv/models/private/llama.bin")


def raises_unprintable() -> NoReturn:
    raise UnprintableError


def exits() -> NoReturn:
    raise SystemExit(3)


def interrupts() -> NoReturn:
    raise KeyboardInterrupt


def returns_a_cycle() -> dict[str, Any]:
    cycle: dict[str, Any] = {"answer": "round"}
    cycle["again"] = cycle
    return cycle


def returns_nesting() -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"in": nested}
    return nested


def blocks() -> dict[str, Any]:
    time.sleep(BLOCK_SECONDS)  # the line that the log must name
    return {"answer": "at last"}


DEEDS: dict[str, Callable[[], Any]] = {
    "answer": lambda: {"answer": "fine"},
    "raise": raises,
    "raise what has no text": raises_unprintable,
    "exit": exits,
    "interrupt": interrupts,
    "return nothing": lambda: None,
    "return a list": lambda: ["no", "object"],
    "return what has no text": lambda: {"answer": Unprintable()},
    "return odd keys": lambda: {(1, 2): "tuple", None: "none", 3: "number"},
    "return a cycle": returns_a_cycle,
    "return nesting": returns_nesting,
    "return half a pair": lambda: {"answer": "a\ud800b", "\udfff": 1},
    "return no numbers": lambda: {"answer": math.nan, "more": [math.inf, -math.inf]},
    "return bytes": lambda: {"answer": b"\xff\x00"},
    "return too many digits": lambda: {"answer": 10**5000},
    "block": blocks,
}
