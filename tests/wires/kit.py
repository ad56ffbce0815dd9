"""Wires with a run to tell of, and what they make of its events."""

from __future__ import annotations

from typing import Any

from dockrion.events.model import (
    Batch,
    Checkpoint,
    Complete,
    Event,
    Interrupt,
    Policy,
    Progress,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)
from dockrion.spec import DockSpec
from dockrion.testing import SSEEvent, read_sse
from dockrion.wires.base import Wire, WireRun
from dockrion.wires.chat import Chat

TIME = "2026-11-24T11:00:00.000Z"
EVERYTHING: list[Event] = [
    Started("a", "custom"),
    Progress("p", 0.5),
    Token("He"),
    Token('llo %s "\n'),
    Step("node", 1.0),
    ToolCall("add", "c1", {"a": 1}),
    ToolCall("find", "c2", None),
    Token(" between", None, "node", "m2"),
    ToolResult("find", "c2", None, 2.0, "ValueError: no"),
    ToolResult("add", "c1", {"sum": 3}),
    Checkpoint("c", [1]),
    Policy("tools", "no"),
    Interrupt("Really?", "i1"),
    Token("", "stop", "node", "m2"),
    Token(" after", None, "node", "m3"),
    Complete({"content": "x"}, 0.1, {"usage": {"input_tokens": 3, "output_tokens": 4}}),
]


def chat_of(**sections: Any) -> Chat:
    return Chat(
        DockSpec.model_validate(
            {
                "version": "1.0",
                "agent": {"name": "test", "handler": "a:b"},
                "io_schema": {},
                "expose": {"protocols": ["openai"]},
                **sections,
            }
        )
    )


def run_of(*, streams: bool = True, cursors: bool = False, thread_id: str | None = None) -> WireRun:
    return WireRun(run_id="r_1", thread_id=thread_id, streams=streams, cursors=cursors)


def told(wire: Wire, *events: Event) -> list[SSEEvent]:
    return read_sse(wire.encode(Batch([*events], 0, TIME)))


def types_of(events: list[SSEEvent]) -> list[str]:
    return [event.event for event in events]
