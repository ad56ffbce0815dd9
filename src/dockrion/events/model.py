"""What can happen in a run: one closed union of small frozen structs.

Events carry no id, sequence or time: the run log gives those to a whole batch. `data`, `arguments`, `output`
and `value` fields hold plain JSON data, copied when the agent emitted it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec


class Started(msgspec.Struct, frozen=True, gc=False):
    """`attempt`, from 2 on, is there where the run had been begun before: by a worker that is gone."""

    agent: str
    framework: str
    attempt: int | None = None


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of text; those of one `node` and `message_id` are one text. `finish_reason` says that it ends there."""

    content: str
    finish_reason: str | None = None
    node: str | None = None
    message_id: str | None = None


# Whose text a token's is: its node and message id.
Channel: TypeAlias = tuple[str | None, str | None]
# Of what a handler says itself.
OWN: Final[Channel] = (None, None)


class Step(msgspec.Struct, frozen=True):
    node_name: str
    duration_ms: float | None = None
    input_keys: list[str] | None = None
    output_keys: list[str] | None = None


class Progress(msgspec.Struct, frozen=True, gc=False):
    """`progress` goes from 0.0 to 1.0."""

    step: str
    progress: float
    message: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    name: str
    data: Any


class ToolCall(msgspec.Struct, frozen=True):
    tool: str
    call_id: str | None
    arguments: Any


class ToolResult(msgspec.Struct, frozen=True):
    """Of the call with that `call_id`; `error` is what the tool failed with."""

    tool: str
    call_id: str | None
    output: Any
    duration_ms: float | None = None
    error: str | None = None


class Policy(msgspec.Struct, frozen=True, gc=False):
    rule: str
    message: str
    tool: str | None = None


class Custom(msgspec.Struct, frozen=True):
    """`name` without the `custom:` in front of it."""

    name: str
    data: Any


class Interrupt(msgspec.Struct, frozen=True):
    """A question of the run's, which waits; its answer is given for `interrupt_id`."""

    value: Any
    interrupt_id: str


class Interrupted(msgspec.Struct, frozen=True):
    """How an agent ends that waits for answers: one `interrupt` event for each. No event itself."""

    interrupts: list[Interrupt]


class Answers(msgspec.Struct, frozen=True):
    """What an interrupted agent goes on with: for the ids of questions of its, their answers."""

    values: dict[str, Any]


class Complete(msgspec.Struct, frozen=True):
    output: Any
    latency_seconds: float
    metadata: dict[str, Any]


class Failed(msgspec.Struct, frozen=True):
    error: str
    code: str
    details: Any = None


class Cancelled(msgspec.Struct, frozen=True, gc=False):
    reason: str


Terminal: TypeAlias = Complete | Failed | Cancelled
# How the agent's part is over: for good, or until its questions are answered.
Outcome: TypeAlias = Terminal | Interrupted
Event: TypeAlias = (
    Token
    | Step
    | Progress
    | Checkpoint
    | ToolCall
    | ToolResult
    | Policy
    | Custom
    | Started
    | Interrupt
    | Complete
    | Failed
    | Cancelled
)

TERMINAL_EVENT_TYPES: Final = frozenset({"complete", "error", "cancelled"})
ALWAYS_SENT: Final = frozenset({"started", "complete", "error", "cancelled", "interrupt"})
CONFIGURABLE: Final = frozenset(
    {
        "token",
        "step",
        "progress",
        "checkpoint",
        "tool_call",
        "tool_result",
        "policy",
        "heartbeat",
    }
)


# What events of a type count as; all custom events as one, since agents choose their names.
KINDS: Final[dict[type[Event], str]] = {
    Token: "token",
    Step: "step",
    Progress: "progress",
    Checkpoint: "checkpoint",
    ToolCall: "tool_call",
    ToolResult: "tool_result",
    Policy: "policy",
    Custom: "custom",
    Started: "started",
    Interrupt: "interrupt",
    Complete: "complete",
    Failed: "error",
    Cancelled: "cancelled",
}


class RunStatus(StrEnum):
    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    INTERRUPTED = "INTERRUPTED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Events of one run in order, numbered by the run log: the first has sequence `first`, and so on without a gap.

    `timestamp` is ISO 8601 in UTC with milliseconds; events that are numbered together share it.
    """

    events: list[Event]
    first: int
    timestamp: str

    @property
    def end(self) -> int:
        """The sequence of what comes after it."""
        return self.first + len(self.events)

    @property
    def is_last(self) -> bool:
        return isinstance(self.events[-1], Complete | Failed | Cancelled | Interrupt)
