"""Test kit for agents and for dockrion itself: streams as a client sees them, without a network.

async with running(app_for(my_handler)) as app:
    async with post(app, "/invoke/stream", {"query": "hi"}) as exchange:
        events = [event async for event in exchange.events()]
"""

from __future__ import annotations

from dockrion.testing.agents import ScriptedAgent, app_for
from dockrion.testing.exchange import Exchange, post, request, running
from dockrion.testing.sse import SSEEvent, SSEReader, read_sse
from dockrion.testing.transport import AppTransport

__all__ = [
    "AppTransport",
    "Exchange",
    "SSEEvent",
    "SSEReader",
    "ScriptedAgent",
    "app_for",
    "post",
    "read_sse",
    "request",
    "running",
]
