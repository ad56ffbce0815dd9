"""MCP's clients without a token: each is led to the authorization server, gets one there, and calls."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx2
import pytest
from mcp import Client
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from tests.auth.tokens import jwk, rsa_key, signed

from .readers import CLIENTS
from .server import agent_source
from .test_mcp import EXPOSE, INPUT, Mode, mode, text_of

if TYPE_CHECKING:
    from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

    from .conftest import StartServer

__all__ = ["mode"]


class Issuer:
    """An authorization server: its metadata, its keys, and tokens for whoever asks, whose forms it keeps."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, str]] = []
        # Made before several threads ask for it at once.
        self._key = rsa_key()

    def answer(self, path: str, form: dict[str, str]) -> Any:
        match path:
            case "/.well-known/oauth-authorization-server":
                return {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                    "response_types_supported": ["code"],
                }
            case "/keys":
                return {"keys": [jwk(self._key)]}
            case "/token":
                self.asked.append(form)
                claims = {"sub": "ada", "iss": self.url, "exp": time.time() + 600}
                return {"access_token": signed(claims, self._key, kid="k1"), "token_type": "Bearer"}
            case _:
                return None


@contextmanager
def issuing() -> Generator[Issuer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            size = int(self.headers.get("content-length", 0))
            given = parse_qs(self.rfile.read(size).decode())
            data = issuer.answer(self.path, {name: one for name, (one, *_) in given.items()})
            self.send_response(404 if data is None else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(data).encode())

        do_POST = do_GET

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer = Issuer(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield issuer
        server.shutdown()


class Memory:
    """Where the client keeps what it gets."""

    tokens: OAuthToken | None = None
    info: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.info

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.info = client_info


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


@pytest.fixture
def url(server: StartServer, issuer: Issuer) -> str:
    """A server that takes the tokens of the issuer, and no others."""
    keys = {"jwks_url": f"{issuer.url}/keys", "issuer": issuer.url}
    served = server(
        agent_source("tooling"),
        expose=EXPOSE,
        io_schema={"input": INPUT},
        auth={"mode": "jwt", "jwt": keys},
    )
    return f"{served.url}/mcp"


@pytest.mark.node
@pytest.mark.parametrize("client", ["sdk", "client"])
def test_clients_from_npm_find_out_where_to_get_a_token(
    url: str, issuer: Issuer, client: str
) -> None:
    ran = subprocess.run(
        ["node", "mcp-discovery.mjs"],
        cwd=CLIENTS,
        input=json.dumps({"client": client, "url": url}),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout).split() == ["one", "two"]
    assert issuer.asked[-1] == {"grant_type": "client_credentials", "resource": url}


async def test_a_client_without_a_token_finds_out_where_to_get_one(
    url: str, issuer: Issuer, mode: Mode
) -> None:
    provider = ClientCredentialsOAuthProvider(
        url, Memory(), "agent-of-the-test", "word-of-the-test", issuer=issuer.url
    )
    async with httpx2.AsyncClient(auth=provider, trust_env=False, timeout=20) as http_client:
        transport = streamable_http_client(url, http_client=http_client)
        async with Client(transport, mode=mode) as client:
            result = await client.call_tool("e2e", {"text": "one two"})
    assert text_of(result).split() == ["one", "two"]
    assert issuer.asked[-1] == {"grant_type": "client_credentials", "resource": url}
