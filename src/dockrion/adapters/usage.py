"""What a call of a LangChain model used, as far as its integration tells: tokens nearly always, cost rarely."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from dockrion.telemetry.base import Usage

Fields = Mapping[str, Any]
_NONE: Final[Fields] = {}


def usage_of(response: LLMResult) -> Usage | None:
    """Return the sum over the prompts of a call; None where nothing is told.

    `usage_metadata` of messages is what LangChain agreed on; older integrations have what their provider answered, in
    `llm_output`, for all prompts at once.
    """
    total: Usage | None = None
    for message in _messages(response):
        metadata = _fields(message.usage_metadata)
        if metadata:
            used = _agreed(metadata, _cost_in(metadata, message.response_metadata))
            total = used if total is None else total + used
    if total is None:
        told = _fields(response.llm_output)
        counts = _fields(told.get("token_usage") or told.get("usage"))
        cost = _cost_in(counts, told)
        if counts or cost:
            total = _as_providers_say(counts, cost)
    return total


def _messages(response: LLMResult) -> Iterator[AIMessage]:
    for generations in response.generations:
        # Several choices for one prompt share what was used.
        for one in generations[:1]:
            if isinstance(one, ChatGeneration) and isinstance(one.message, AIMessage):
                yield one.message


def _agreed(metadata: Fields, cost: float) -> Usage:
    into, out = (
        _fields(metadata.get("input_token_details")),
        _fields(metadata.get("output_token_details")),
    )
    return Usage(
        input=_count(metadata.get("input_tokens")),
        output=_count(metadata.get("output_tokens")),
        cache_read=_count(into.get("cache_read")),
        cache_write=_count(into.get("cache_creation")),
        reasoning=_count(out.get("reasoning")),
        cost=cost,
    )


def _as_providers_say(counts: Fields, cost: float) -> Usage:
    into = _fields(counts.get("prompt_tokens_details"))
    out = _fields(counts.get("completion_tokens_details"))
    return Usage(
        input=_count(counts.get("prompt_tokens", counts.get("input_tokens"))),
        output=_count(counts.get("completion_tokens", counts.get("output_tokens"))),
        cache_read=_count(into.get("cached_tokens")),
        reasoning=_count(out.get("reasoning_tokens")),
        cost=cost,
    )


def _cost_in(usage: Fields, answer: Fields) -> float:
    """Return what the call cost, wherever an integration puts that."""
    counts = _fields(answer.get("token_usage") or answer.get("usage"))
    for fields, name in (
        (usage, "total_cost"),
        (usage, "cost"),
        (counts, "cost"),
        (answer, "cost"),
        (answer, "response_cost"),
        (counts, "response_cost"),
    ):
        value: Any = fields.get(name)
        if isinstance(value, Mapping):
            value = cast("Fields", value).get("total_cost")
        if isinstance(value, int | float) and math.isfinite(value) and value > 0:
            return float(value)
    return 0.0


def _fields(value: Any) -> Fields:
    return cast("Fields", value) if isinstance(value, Mapping) else _NONE


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
