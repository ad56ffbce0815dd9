"""Protected resource metadata: where a client of MCP gets its tokens. https://www.rfc-editor.org/rfc/rfc9728"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from dockrion.spec import DockSpec

# In front of the path of what is protected.
WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"


def authorization_server(spec: DockSpec) -> str | None:
    """Return who issues the tokens that are taken here, where the Dockfile says so and clients can ask there."""
    auth = spec.auth
    if auth is None or auth.is_open or auth.mode != "jwt" or auth.jwt is None:
        return None
    issuer = auth.jwt.issuer
    if issuer is None:
        return None
    try:
        parts = urlsplit(issuer)
    except ValueError:
        return None
    is_url = parts.scheme in ("https", "http") and bool(parts.hostname)
    return issuer if is_url and not (parts.query or parts.fragment) else None


def resource_metadata(spec: DockSpec, server: str, *, resource: str) -> dict[str, Any]:
    """`resource` is the URL that the caller knows this server by."""
    return {
        "resource": resource,
        "resource_name": spec.agent.name,
        "authorization_servers": [server],
        "bearer_methods_supported": ["header"],
    }
