"""What agents import of adapters, under the name that existing agents use."""

from __future__ import annotations

from typing import Any

from dockrion.adapters import (
    ADAPTERS,
    is_framework_supported,
    list_supported_frameworks,
    register_adapter,
)
from dockrion.adapters.base import AsyncAdapter, ForeignAdapter, StreamingAdapter
from dockrion.adapters.callables import CallableAgent
from dockrion.events.jsonable import plain as serialize_for_json

deep_serialize = serialize_for_json


def get_adapter(framework: str) -> Any:
    """Return the registered adapter class of a framework; raise `ValidationError` for an unknown one."""
    return ADAPTERS.get(framework)


def get_handler_adapter() -> type[CallableAgent]:
    """Return the class that serves plain functions."""
    return CallableAgent


__all__ = [
    "AsyncAdapter",
    "ForeignAdapter",
    "StreamingAdapter",
    "deep_serialize",
    "get_adapter",
    "get_handler_adapter",
    "is_framework_supported",
    "list_supported_frameworks",
    "register_adapter",
    "serialize_for_json",
]
