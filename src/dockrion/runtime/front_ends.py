"""Where each front end of an agent is, for people: which are on, and what a caller at the path of another one must know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from dockrion.spec import DockSpec


class FrontEnd(NamedTuple):
    """`title` is its name, `path` where its clients are pointed to."""

    title: str
    path: str


PROTOCOLS: Final[Mapping[str, FrontEnd]] = {
    "openai": FrontEnd("OpenAI", "/v1"),
    "ag-ui": FrontEnd("AG-UI", "/ag-ui"),
    "mcp": FrontEnd("MCP", "/mcp"),
    "ai-sdk": FrontEnd("AI SDK", "/ai-sdk"),
    "a2a": FrontEnd("A2A", "/.well-known/agent-card.json"),
}
WEBSOCKET: Final = FrontEnd("WebSocket", "/invoke/ws")

# The paths of each protocol, whether or not it is on.
_OF_PROTOCOLS: Final = re.compile(
    r"/(?:(?P<openai>v1(?:/.*)?)|(?P<ag_ui>ag-ui)|(?P<ai_sdk>ai-sdk(?:/.*)?)|(?P<mcp>mcp)"
    r"|(?P<a2a>a2a|\.well-known/agent-card\.json))/?",
    re.DOTALL,
)
# What clients of OpenAI ask for whose address lacks its end.
_WITHOUT_V1: Final = re.compile(r"/(?:chat/completions|responses|models)/?")


def front_ends(spec: DockSpec) -> list[FrontEnd]:
    """Return those that are on, beside `/invoke`, `/invoke/stream` and `/runs`."""
    expose = spec.expose
    return [*([WEBSOCKET] if expose.websocket else []), *(PROTOCOLS[p] for p in expose.protocols)]


def why_nothing_is_at(spec: DockSpec, path: str) -> str | None:
    """Return what in the Dockfile keeps `path` from being there, or what a client would have to write instead."""
    expose = spec.expose
    match path.rstrip("/"):
        case "/invoke" if not expose.rest:
            return "expose.rest in the Dockfile is false"
        case "/invoke/stream" if not expose.sse:
            return "expose.streaming in the Dockfile does not name sse"
        case WEBSOCKET.path if not expose.websocket:
            return "expose.streaming in the Dockfile does not name websocket"
        case below if f"{below}/".startswith("/runs/") and not spec.streaming.async_runs:
            return "streaming.async_runs in the Dockfile is false"
        case _:
            pass
    if found := _OF_PROTOCOLS.fullmatch(path):
        protocol = (found.lastgroup or "").replace("_", "-")
        is_on = protocol in expose.protocols
        return None if is_on else f"expose.protocols in the Dockfile does not name {protocol}"
    if "openai" in expose.protocols and _WITHOUT_V1.fullmatch(path):
        return "the base URL of OpenAI's clients ends in /v1"
    return None
