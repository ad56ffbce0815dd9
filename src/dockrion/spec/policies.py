"""The `policies` section: which tools may run, what may come in, what never leaves."""

from __future__ import annotations

import re
import warnings
from typing import Annotated

from pydantic import Field

from dockrion.patterns.cost import explodes
from dockrion.patterns.tree import Tree
from dockrion.spec.fields import checked_text, flag, target, text, whole
from dockrion.spec.section import Section

_TOO_LARGE = "must be a Python regular expression: it is too large"
_TOO_SLOW = (
    "must not be able to read the same text in many ways, or one text could take very long: "
    "let neighbouring repeats read different characters, and no repeat hold another that reads the same"
)


def _complain_of_pattern(pattern: str) -> str | None:
    return _complain_of_syntax(pattern) or _complain_of_time(pattern, in_pieces=False)


def _complain_of_redaction(pattern: str) -> str | None:
    return (
        _complain_of_syntax(pattern)
        or (
            "must not match the empty string, or everything would be redacted"
            if Tree(pattern).least == 0
            else None
        )
        or _complain_of_time(pattern, in_pieces=True)
    )


def _complain_of_syntax(pattern: str) -> str | None:
    try:
        with warnings.catch_warnings():
            # What a later Python may read in another way is fine in this one.
            warnings.simplefilter("ignore", FutureWarning)
            re.compile(pattern)
    except re.error as exc:
        at = "" if exc.pos is None else f" at position {exc.pos}"
        return f"must be a Python regular expression: {exc.msg}{at}"
    except (OverflowError, RecursionError):
        return _TOO_LARGE
    return None


def _complain_of_time(pattern: str, *, in_pieces: bool) -> str | None:
    try:
        return _TOO_SLOW if explodes(Tree(pattern), in_pieces=in_pieces) else None
    except (OverflowError, RecursionError):
        return _TOO_LARGE


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
