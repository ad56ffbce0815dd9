"""The `policies` section: which tools may run, what may come in, what never leaves."""

from __future__ import annotations

import importlib
import re
import warnings
from typing import Annotated, Any

from pydantic import Field

from dockrion.spec.fields import checked_text, flag, target, text, whole
from dockrion.spec.section import Section


def _complain_of_pattern(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings():
            # What a later Python may read in another way is fine in this one.
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except re.error as exc:
        at = "" if exc.pos is None else f" at position {exc.pos}"
        return f"must be a Python regular expression: {exc.msg}{at}"
    except (OverflowError, RecursionError):
        return "must be a Python regular expression: it is too large"
    return None


def _complain_of_redaction(pattern: str) -> str | None:
    return _complain_of_pattern(pattern) or (
        "must not match the empty string, or everything would be redacted"
        if _least_width(pattern) == 0
        else None
    )


def _least_width(pattern: str) -> int:
    """Return the length of the shortest text that the pattern can match, look-around not counted."""
    # `re` has no public way to ask; trying texts would miss rules such as `(?<=token )\\w*`.
    parser: Any = importlib.import_module("re._parser")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return parser.parse(pattern).getwidth()[0]


Pattern = Annotated[str, checked_text(_complain_of_pattern)]
Redaction = Annotated[str, checked_text(_complain_of_redaction)]


class ToolsSpec(Section):
    allowed: tuple[Annotated[str, text()], ...] = Field(
        default=(), description="Tools that may run."
    )
    deny_by_default: Annotated[bool, flag()] = Field(
        default=True, description="Whether a tool that is not listed is refused."
    )


class SafetySpec(Section):
    block_prompt_injection: Annotated[bool, flag()] = Field(
        default=True, description="Whether payloads are searched for injected instructions."
    )
    injection_patterns: tuple[Pattern, ...] = Field(
        default=(),
        description="Regular expressions that count as injection, beside the built-in ones.",
    )
    classifier: Annotated[str, target()] | None = Field(
        default=None, description="module:function that is asked about each string of the payload."
    )
    redact_patterns: tuple[Redaction, ...] = Field(
        default=(),
        description="Regular expressions whose matches become [REDACTED] in all that leaves.",
    )
    max_output_chars: Annotated[int, whole()] | None = Field(
        default=None, description="Characters of all texts of the output together."
    )
    halt_on_violation: Annotated[bool, flag()] = Field(
        default=False, description="Whether a match or a refused tool ends the run."
    )


class PoliciesSpec(Section):
    tools: ToolsSpec | None = Field(
        default=None, description="Rules for tool calls; none when absent."
    )
    safety: SafetySpec | None = Field(default=None, description="Rules for text; none when absent.")
