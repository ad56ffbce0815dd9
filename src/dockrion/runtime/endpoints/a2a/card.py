"""`GET /.well-known/agent-card.json`: what the agent is, for everybody who finds it."""

from __future__ import annotations

import hashlib

from dockrion.events.jsonable import encode
from dockrion.runtime.asgi import Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import refuse_method
from dockrion.runtime.endpoints.reached import base_url
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import Headers
from dockrion.version import VERSION
from dockrion.wires.a2a.card import agent_card
from dockrion.wires.chat import Chat


class CardEndpoint:
    """The agent card, for everybody; its URLs are those that the caller has used."""

    def __init__(self, host: AgentHost, chat: Chat) -> None:
        self._host = host
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        request = Request(scope)
        if scope["method"] not in ("GET", "HEAD"):
            await refuse_method(send, request, takes=("GET", "HEAD"))
            return
        url = base_url(request)
        card = agent_card(self._host.spec, self._chat, base_url=url, version=VERSION)
        body = encode(self._host.secrets.hide_in(card))
        tag = b'"%b"' % hashlib.sha256(body).hexdigest()[:32].encode()
        headers: Headers = [
            (b"cache-control", b"private, max-age=60"),
            (b"etag", tag),
            (b"x-request-id", request.request_id),
            (b"x-content-type-options", b"nosniff"),
        ]
        known = request.headers.get(b"if-none-match", b"").split(b",")
        status = 304 if tag in (one.strip().removeprefix(b"W/") for one in known) else 200
        if status == 200:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        empty = status == 304 or scope["method"] == "HEAD"
        await send({"type": "http.response.body", "body": b"" if empty else body})
