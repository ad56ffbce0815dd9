"""Names of protocols to what answers their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from dockrion._registry import Registry
from dockrion.errors import DockrionError
from dockrion.runtime.asgi import ASGIApp, Scope
from dockrion.runtime.host import AgentHost
from dockrion.runtime.unforeseen import Refusal


class ProtocolPaths(Protocol):
    """The paths of one protocol: `paths` as the API document names them; `find` gives what answers one. `refusal` is what
    answers a request when that could not.
    """

    @property
    def paths(self) -> tuple[str, ...]: ...

    def find(self, path: str) -> ASGIApp | None: ...

    def refusal(self, error: DockrionError, scope: Scope) -> Refusal: ...


PROTOCOLS: Final[Registry[Callable[[AgentHost], ProtocolPaths]]] = Registry(
    "protocols",
    {
        "a2a": "dockrion.runtime.endpoints.a2a.endpoint:A2aPaths",
        "ag-ui": "dockrion.runtime.endpoints.ag_ui:AgUiPaths",
        "ai-sdk": "dockrion.runtime.endpoints.ai_sdk:AiSdkPaths",
        "mcp": "dockrion.runtime.endpoints.mcp.endpoint:McpPaths",
        "openai": "dockrion.runtime.endpoints.openai:OpenAIPaths",
    },
    extras={},
)


def protocols_of(host: AgentHost) -> list[ProtocolPaths]:
    """Return those that the Dockfile asks for."""
    return [PROTOCOLS.get(name)(host) for name in host.spec.expose.protocols]
