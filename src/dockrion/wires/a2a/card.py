"""The agent card of A2A: what an agent is, where it is, and how callers prove who they are.

It is that of 1.0 with the fields of 0.3 beside them, as clients of either read one.
"""

from __future__ import annotations

from typing import Any, Final

from dockrion.spec import DockSpec
from dockrion.wires.a2a.requests import PATH
from dockrion.wires.chat import Chat

CARD_PATH: Final = "/.well-known/agent-card.json"
_BINDING: Final = "JSONRPC"
_TEXT: Final = "text/plain"
_JSON: Final = "application/json"
_ANY: Final = "*/*"


def agent_card(spec: DockSpec, chat: Chat, *, base_url: str, version: str) -> dict[str, Any]:
    """`base_url` is where callers reach the app; `version` is that of an agent which does not say its own."""
    agent = spec.agent
    description = agent.description or f"The agent {agent.name}."
    url = f"{base_url}{PATH}"
    takes = [*([_TEXT] if chat.takes_text else []), _JSON]
    if chat.takes_messages:
        # As parts of the content: what it does with them is for the agent to say.
        takes.append(_ANY)
    schemes = _schemes(spec)
    card: dict[str, Any] = {
        "name": agent.name,
        "description": description,
        "version": spec.metadata.version or version,
        "supportedInterfaces": [
            {"url": url, "protocolBinding": _BINDING, "protocolVersion": known}
            for known in ("1.0", "0.3")
        ],
        # Of 0.3.
        "url": url,
        "preferredTransport": _BINDING,
        "protocolVersion": "0.3.0",
        "capabilities": {
            "streaming": True,
            "pushNotifications": False,
            "extendedAgentCard": False,
        },
        "defaultInputModes": takes,
        "defaultOutputModes": [_TEXT, _JSON],
        "skills": [
            {
                "id": agent.name,
                "name": agent.name,
                "description": description,
                "tags": list(spec.metadata.tags) or [agent.name],
            }
        ],
    }
    if schemes:
        card["securitySchemes"] = schemes
        card["securityRequirements"] = [{"schemes": {name: {"list": []}}} for name in schemes]
        card["security"] = [{name: []} for name in schemes]
    return card


def _schemes(spec: DockSpec) -> dict[str, Any]:
    """Return each way to prove who one is, as both versions write it."""
    auth = spec.auth
    if auth is None or auth.is_open:
        return {}
    schemes: dict[str, Any] = {}
    if auth.mode == "api_key":
        name = auth.api_keys.header
        schemes["APIKeyHeader"] = {
            "apiKeySecurityScheme": {"location": "header", "name": name},
            "type": "apiKey",
            "in": "header",
            "name": name,
        }
    if auth.bearer:
        bearer = {"scheme": "bearer", **({"bearerFormat": "JWT"} if auth.mode == "jwt" else {})}
        schemes["BearerAuth"] = {"httpAuthSecurityScheme": bearer, "type": "http", **bearer}
    return schemes
