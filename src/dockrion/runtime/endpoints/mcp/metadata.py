"""`GET /.well-known/oauth-protected-resource`: who issues the tokens that `/mcp` takes, for everybody."""

from __future__ import annotations

from typing import Final

from dockrion.runtime.asgi import Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import refuse_method
from dockrion.runtime.endpoints.reached import base_url
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import send_json
from dockrion.wires.mcp.metadata import WELL_KNOWN, authorization_server, resource_metadata
from dockrion.wires.mcp.requests import Mcp

METADATA_PATHS: Final = (WELL_KNOWN, f"{WELL_KNOWN}{Mcp.path}")


class MetadataEndpoint:
    """The document of one authorization server; its URLs are those that the caller has used."""

    def __init__(self, host: AgentHost, server: str) -> None:
        self._host = host
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        request = Request(scope)
        if scope["method"] != "GET":
            await refuse_method(send, request, takes=("GET",))
            return
        host = self._host
        resource = f"{base_url(request)}{Mcp.path}"
        body = host.secrets.hide_in(resource_metadata(host.spec, self._server, resource=resource))
        headers = [(b"cache-control", b"private, max-age=60")]
        await send_json(send, 200, body, request.request_id, headers)


def metadata_endpoint(host: AgentHost) -> MetadataEndpoint | None:
    """Return None where there is no authorization server that clients could be led to."""
    server = authorization_server(host.spec)
    if server is None or host.secrets.hide_in(server) != server:
        return None
    return MetadataEndpoint(host, server)


def metadata_url(request: Request) -> str:
    """Return where the document is, in the words of the caller; below the app's prefix, since that is what leads here."""
    return f"{base_url(request)}{WELL_KNOWN}{Mcp.path}"
