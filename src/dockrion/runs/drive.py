"""Driving an agent to its end: what it yields goes to the outbox, what it returns is the output."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from time import perf_counter
from typing import Any, cast

from dockrion.events import emitted
from dockrion.events.cancelled import RunCancelled
from dockrion.events.context import StreamContext
from dockrion.events.model import ALWAYS_SENT, Token
from dockrion.events.outbox import TURN_SECONDS, Outbox

logger = logging.getLogger(__name__)


async def settle(call: Callable[[], Any], context: StreamContext, outbox: Outbox) -> Any:
    """Call an agent on the event loop, drive what it gives, and return the output."""
    made = call()
    while True:
        if isinstance(made, AsyncIterator):
            return await _iterate(cast("AsyncIterator[Any]", made), context, outbox)
        if inspect.isawaitable(made):
            made = await made
        elif isinstance(made, Iterator):
            # A sync generator that an async function returned.
            return await asyncio.to_thread(settle_here, made, context, outbox)
        else:
            return made


def settle_here(made: Any, context: StreamContext, outbox: Outbox) -> Any:
    """Drive a generator in this thread, or return `made` as it is."""
    if isinstance(made, Iterator):
        return _iterate_here(cast("Iterator[Any]", made), context, outbox)
    return made


def needs_loop(made: Any) -> bool:
    return isinstance(made, AsyncIterator) or inspect.isawaitable(made)


async def _iterate(items: AsyncIterator[Any], context: StreamContext, outbox: Outbox) -> Any:
    output: Any = None
    put = outbox.put
    try:
        async for item in items:
            if type(item) is str:
                put(Token(item), len(item))
            elif item is not None:
                output = _take(item, context, put, output)
            if outbox.closed:
                raise RunCancelled("the run is over")
            if perf_counter() - outbox.turned_at > TURN_SECONDS or outbox.full:
                await outbox.turn()
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
    return output


def _iterate_here(items: Iterator[Any], context: StreamContext, outbox: Outbox) -> Any:
    output: Any = None
    put = outbox.put
    try:
        while True:
            try:
                item = next(items)
            except StopIteration as stop:
                return output if stop.value is None else stop.value
            if type(item) is str:
                put(Token(item), len(item))
            elif item is not None:
                output = _take(item, context, put, output)
            if outbox.closed:
                raise RunCancelled("the run is over")
            if outbox.full:
                outbox.wait_for_space()
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _take(item: Any, context: StreamContext, put: Callable[..., None], output: Any) -> Any:
    """Put the event that `item` is, and return `output`; or return `item`, the new output."""
    if isinstance(item, str):
        put(*emitted.token(item))
        return output
    if not isinstance(item, Mapping):
        return item
    fields = cast("Mapping[str, Any]", item)
    event_type = fields.get("type")
    if emitted.is_event_type(event_type):
        kind = cast("str", event_type)
        if kind == "token" or context.events_filter.is_allowed(kind):
            put(*emitted.from_mapping(kind, fields))
        return output
    if event_type == "heartbeat":
        context.sync_emit_heartbeat()
        return output
    if isinstance(event_type, str) and event_type in ALWAYS_SENT:
        logger.warning(
            "the runtime sends this event itself; what the agent yielded was dropped",
            extra={"event_type": event_type, "run_id": context.run_id},
        )
        return output
    return fields
