"""Names for the three things an ASGI app gets, the path that it is asked for, and what we note in a scope."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# What is known of a request, for whoever answers it when its endpoint cannot: its id, of its run, and of its JSON-RPC message.
REQUEST_ID_KEY: Final = "dockrion.request_id"
RUN_ID_KEY: Final = "dockrion.run_id"
RPC_ID_KEY: Final = "dockrion.rpc_id"


def path_of(scope: Scope) -> str:
    """Return the path below the app's root: a proxy may have taken the prefix off, or left it there."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path
