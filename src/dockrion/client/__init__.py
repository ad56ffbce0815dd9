"""Python clients of a deployed agent: `Client` for threads, `AsyncClient` for asyncio; one core does what both do.

What they give out: runs and events, typed. Errors are those of `dockrion.errors`.
"""

from __future__ import annotations

from dockrion.client.aio import AsyncClient, AsyncEventStream
from dockrion.client.answers import Run, RunError, RunPage
from dockrion.client.events import Gap, StreamEvent, Unknown
from dockrion.client.sync import Client, EventStream
from dockrion.events.model import (
    Cancelled,
    Checkpoint,
    Complete,
    Custom,
    Failed,
    Interrupt,
    Policy,
    Progress,
    RunStatus,
    Started,
    Step,
    Token,
    ToolCall,
    ToolResult,
)

__all__ = [
    "AsyncClient",
    "AsyncEventStream",
    "Cancelled",
    "Checkpoint",
    "Client",
    "Complete",
    "Custom",
    "EventStream",
    "Failed",
    "Gap",
    "Interrupt",
    "Policy",
    "Progress",
    "Run",
    "RunError",
    "RunPage",
    "RunStatus",
    "Started",
    "Step",
    "StreamEvent",
    "Token",
    "ToolCall",
    "ToolResult",
    "Unknown",
]
