"""What both of OpenAI's protocols share: errors, usage, times, and what this server cannot do for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast

from dockrion.errors import DockrionError, error_for
from dockrion.events.model import Cancelled, Failed
from dockrion.wires.chat import kind_of, wrong

_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# Tools of the caller, and the field that says whether they are to be called: an agent has its own, and runs them itself.
_TOOLS: Final[Mapping[str, str]] = {"tools": "tool_choice", "functions": "function_call"}


def refusal(error: DockrionError) -> dict[str, Any]:
    """Return an error as OpenAI's clients read it; `code` is ours, as everywhere."""
    kind = _TYPES.get(error.status)
    if kind is None:
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": _param(error.details),
            "code": error.code,
        }
    }


def _param(details: Any) -> str:
    """Return the field that is wrong, where it is known; some clients read no error whose `param` is null."""
    match details:
        case [{"pointer": str(pointer)}, *_]:
            return pointer
        case _:
            return ""


def failure_of(terminal: Failed | Cancelled) -> DockrionError:
    """Return the error that a run's bad end is for its caller."""
    if isinstance(terminal, Cancelled):
        return error_for("CONFLICT", f"The run was cancelled: {terminal.reason}")
    return error_for(terminal.code, terminal.error, details=terminal.details)


def object_of(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise wrong("body", f"must be an object, got {kind_of(body)}")
    return cast("dict[str, Any]", body)


def flag_of(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong(name, f"must be true or false, got {kind_of(value)}")


def refuse_tools(body: Mapping[str, Any]) -> None:
    """Raise for tools that the caller would wait to be asked for; a choice of `none` does not."""
    for name, choice in _TOOLS.items():
        if body.get(name) and body.get(choice) != "none":
            raise wrong(
                name,
                f"the agent has its own tools, and runs them itself; leave it out, or say `{choice}`: `none`",
            )


def refuse_form(value: Any, field: str) -> None:
    """Raise for a `response_format` that is no text: the agent decides what its reply looks like."""
    kind = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
    if value is not None and kind != "text":
        raise wrong(field, "the agent decides what its reply looks like; leave it out, or `text`")


def seconds_of(timestamp: str) -> int:
    """Return the Unix time of an event's timestamp."""
    return int(datetime.fromisoformat(timestamp).timestamp())
