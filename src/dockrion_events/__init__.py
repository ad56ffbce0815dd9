"""What agents import of events, under the name that existing agents use."""

from __future__ import annotations

from dockrion.events.context import StreamContext, get_current_context, set_current_context
from dockrion.events.filter import EventsFilter
from dockrion.events.model import TERMINAL_EVENT_TYPES, RunStatus

__all__ = [
    "TERMINAL_EVENT_TYPES",
    "EventsFilter",
    "RunStatus",
    "StreamContext",
    "get_current_context",
    "set_current_context",
]
