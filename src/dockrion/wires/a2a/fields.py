"""Fields of A2A's requests, as the JSON of Protocol Buffers may write them. What does not fit raises `ValidationError`."""

from __future__ import annotations

from typing import Any, cast

from dockrion.wires.chat import kind_of, wrong


def field_of(given: dict[str, Any], name: str) -> Any:
    """Return a field by either of the names that the JSON of Protocol Buffers has for it."""
    if name in given:
        return given[name]
    return given.get("".join(f"_{char.lower()}" if char.isupper() else char for char in name))


def object_of(given: dict[str, Any], name: str, *, required: bool = False) -> dict[str, Any]:
    value: Any = field_of(given, name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise wrong(name, f"must be an object, got {kind_of(value)}")
    return cast("dict[str, Any]", value)


def text_of(given: dict[str, Any], name: str, within: str = "") -> str:
    value = optional_text_of(given, name, within)
    if value is None:
        raise wrong(f"{within}.{name}".lstrip("."), "must be a string with at least one character")
    return value


def optional_text_of(given: dict[str, Any], name: str, within: str = "") -> str | None:
    """Return a text, None for an empty one: Protocol Buffers know no difference."""
    value: Any = field_of(given, name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise wrong(f"{within}.{name}".lstrip("."), f"must be a string, got {kind_of(value)}")
    return value
