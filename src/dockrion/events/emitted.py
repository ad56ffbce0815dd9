"""What agents emit, checked and copied: each function returns an event and its weight in bytes or characters.

They raise `TypeError` or `ValueError` with the field, what was found and what is allowed; the agent's author
sees it where the event was made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from dockrion.events.filter import CUSTOM_NAME
from dockrion.events.jsonable import plain_and_size
from dockrion.events.model import (
    Checkpoint,
    Custom,
    Event,
    Policy,
    Progress,
    Step,
    Token,
    ToolCall,
    ToolResult,
)

Emitted = tuple[Event, int]


def token(
    content: str,
    finish_reason: str | None = None,
    *,
    node: str | None = None,
    message_id: str | None = None,
) -> Emitted:
    _text("token.content", content)
    _optional_text("token.finish_reason", finish_reason)
    _optional_text("token.node", node)
    _optional_text("token.message_id", message_id)
    if type(content) is not str:
        # A subclass, as chat messages of some frameworks have: its text, without what it brings along.
        content = str.__str__(content)
    return Token(content, finish_reason, node, message_id), len(content)


def progress(step: str, progress: float, message: str | None = None) -> Emitted:
    """`progress` from 0.0 to 1.0; what lies outside is clamped."""
    _text("progress.step", step)
    _optional_text("progress.message", message)
    value = _number("progress.progress", progress)
    return Progress(step, min(1.0, max(0.0, value)), message), len(step) + len(message or "")


def step(
    node_name: str,
    duration_ms: float | None = None,
    input_keys: list[str] | None = None,
    output_keys: list[str] | None = None,
) -> Emitted:
    _text("step.node_name", node_name)
    duration = None if duration_ms is None else _number("step.duration_ms", duration_ms)
    inputs, outputs = _keys(input_keys), _keys(output_keys)
    weight = len(node_name) + sum(map(len, inputs or ())) + sum(map(len, outputs or ()))
    return Step(node_name, duration, inputs, outputs), weight


def checkpoint(name: str, data: Any = None) -> Emitted:
    _text("checkpoint.name", name)
    copy, weight = plain_and_size(data)
    return Checkpoint(name, copy), weight


def tool_call(tool: str, call_id: str | None = None, arguments: Any = None) -> Emitted:
    _text("tool_call.tool", tool)
    _optional_text("tool_call.call_id", call_id)
    copy, weight = plain_and_size(arguments)
    return ToolCall(tool, call_id, copy), weight


def tool_result(
    tool: str,
    call_id: str | None = None,
    output: Any = None,
    duration_ms: float | None = None,
    error: str | None = None,
) -> Emitted:
    _text("tool_result.tool", tool)
    _optional_text("tool_result.call_id", call_id)
    _optional_text("tool_result.error", error)
    duration = None if duration_ms is None else _number("tool_result.duration_ms", duration_ms)
    copy, weight = plain_and_size(output)
    return ToolResult(tool, call_id, copy, duration, error), weight + len(error or "")


def policy(rule: str, message: str, tool: str | None = None) -> Emitted:
    _text("policy.rule", rule)
    _text("policy.message", message)
    _optional_text("policy.tool", tool)
    return Policy(rule, message, tool), len(rule) + len(message)


def custom(name: object, data: Any = None, fields: Mapping[str, Any] | None = None) -> Emitted:
    """`data` with `fields` merged in; data that is no mapping stands under `data` beside them."""
    bare = name.removeprefix("custom:") if isinstance(name, str) else name
    if not isinstance(bare, str) or not CUSTOM_NAME.match(bare):
        raise _wrong("custom event name", name, "letters, digits and _, not a digit first")
    if fields:
        if data is None:
            data = dict(fields)
        elif isinstance(data, Mapping):
            data = {**cast("Mapping[Any, Any]", data), **fields}
        else:
            data = {"data": data, **fields}
    copy, weight = plain_and_size(data)
    return Custom(bare, copy), weight


def from_mapping(event_type: str, fields: Mapping[str, Any]) -> Emitted:
    """Make the event that a mapping with a `type` describes; its other fields are those of the contract."""
    given = {key: value for key, value in fields.items() if key != "type"}
    if event_type.startswith("custom:"):
        data = given.pop("data", None)
        return custom(event_type, data, given)
    make = _MAKERS[event_type]
    try:
        return make(**given)
    except TypeError as exc:
        raise TypeError(f"event {event_type!r}: {exc}") from None


def is_event_type(value: object) -> bool:
    """Whether a mapping with this `type` is an event that an agent may emit."""
    return isinstance(value, str) and (value in _MAKERS or value.startswith("custom:"))


_MAKERS: Final[dict[str, Callable[..., Emitted]]] = {
    "token": token,
    "progress": progress,
    "step": step,
    "checkpoint": checkpoint,
    "tool_call": tool_call,
    "tool_result": tool_result,
    "policy": policy,
}


def _keys(keys: Any) -> list[str] | None:
    return None if keys is None else [str(key) for key in keys]


def _number(field: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _wrong(field, value, "a number") from None
    if not math.isfinite(number):
        raise _wrong(field, value, "a finite number")
    return number


def _text(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise _wrong(field, value, "a string")


def _optional_text(field: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        raise _wrong(field, value, "a string or None")


def _wrong(field: str, found: object, allowed: str) -> TypeError:
    shown = repr(found)
    if len(shown) > 80:
        shown = f"{shown[:77]}..."
    return TypeError(f"{field}: must be {allowed}, got {shown}")
