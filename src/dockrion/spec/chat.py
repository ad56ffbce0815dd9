"""Which property of a payload takes a conversation, for protocols in which people talk to the agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

if TYPE_CHECKING:
    from dockrion.spec.dockspec import DockSpec
    from dockrion.spec.shape import Loc

# Those whose requests are conversations; those of `a2a` may be data instead.
CHAT_PROTOCOLS: Final = frozenset({"openai", "ag-ui", "ai-sdk"})
MESSAGES: Final = "messages"


class ChatInput(NamedTuple):
    """`name` is the property, None where the payload is a text and nothing else.

    With `whole` it takes all messages, as objects with `role` and `content`; else the text of the user's last one.
    """

    name: str | None
    whole: bool


def chat_input(spec: DockSpec) -> ChatInput | None:
    """Return where conversations go; None where they go nowhere. A spec that serves a chat protocol has such a place."""
    found = _find(spec.io_schema.input, _named(spec))
    return found if isinstance(found, ChatInput) else None


def chat_problems(spec: DockSpec) -> Iterator[tuple[Loc, str]]:
    """Say why chat protocols cannot be served, if they are wanted."""
    named = _named(spec)
    # Whoever names the place wants it to be one.
    needing = CHAT_PROTOCOLS if named is None else {*CHAT_PROTOCOLS, "a2a"}
    wanted = [name for name in spec.expose.protocols if name in needing]
    if not wanted:
        return
    found = _find(spec.io_schema.input, named)
    if isinstance(found, str):
        at: Loc = ("expose", "protocols") if named is None else ("expose", "chat", "input")
        yield at, f"{', '.join(wanted)} cannot be served: {found}"


def _named(spec: DockSpec) -> str | None:
    return None if spec.expose.chat is None else spec.expose.chat.input


def _find(schema: Mapping[str, Any] | None, named: str | None) -> ChatInput | str:
    """Return the place, or why there is none."""
    schema = schema or {}
    properties = cast("Mapping[str, Any]", schema.get("properties") or {})
    root = schema.get("type", "object")
    if root == "string" and named is None:
        return ChatInput(None, whole=False)
    if root != "object":
        return f"io_schema.input is of type {root}, and a conversation goes into a property of an object, or is a string"
    if named is None:
        if MESSAGES in properties or not properties:
            # What takes any JSON takes what chat agents take everywhere.
            named = MESSAGES
        else:
            texts = [name for name in _required(schema) if _type_of(properties, name) == "string"]
            if len(texts) != 1:
                says = ", ".join(texts) if texts else "none"
                return (
                    "io_schema.input has neither a property `messages` nor exactly one required string property "
                    f"(found: {says}); name the one that takes the user's text in expose.chat.input"
                )
            named = texts[0]
    elif properties and named not in properties:
        return f"{named} is no property of io_schema.input (found: {', '.join(properties)})"
    others = [name for name in _required(schema) if name != named]
    if others:
        return f"io_schema.input also requires {', '.join(others)}, which no conversation has"
    kind = _type_of(properties, named)
    if kind == "array" or (kind is None and named == MESSAGES):
        return ChatInput(named, whole=True)
    if kind in ("string", None):
        return ChatInput(named, whole=False)
    return f"{named} is of type {kind} in io_schema.input, and takes neither a text nor an array of messages"


def _required(schema: Mapping[str, Any]) -> list[str]:
    return list(cast("list[str]", schema.get("required") or []))


def _type_of(properties: Mapping[str, Any], name: str) -> Any:
    rule = properties.get(name)
    if not isinstance(rule, Mapping):
        return None
    return cast("Mapping[str, Any]", rule).get("type")
