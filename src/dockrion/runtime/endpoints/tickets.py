"""`POST /auth/ticket`: for callers that cannot send headers, as a browser's `EventSource`."""

from __future__ import annotations

import re
from typing import Any, Final

from dockrion.errors import DockrionError, ValidationError
from dockrion.runtime.asgi import Receive, Scope, Send, path_of
from dockrion.runtime.endpoints.invoke import refuse_method
from dockrion.runtime.gate import TICKET_SECONDS, Tickets
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import TICKET_PATH, CallerLeftError, Request, decode_payload
from dockrion.runtime.responses import send_error, send_json
from dockrion.spec.fields import is_mapping

MAX_BODY_BYTES: Final = 64 << 10
_PATH: Final = re.compile(TICKET_PATH)


class TicketEndpoint:
    """Gives the caller a ticket. Not for a ticket: that would make one last for ever."""

    def __init__(self, host: AgentHost, tickets: Tickets) -> None:
        self._host = host
        self._tickets = tickets.once

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if scope["method"] != "POST":
            await refuse_method(send, request)
            return
        try:
            identity = await self._host.gate.authenticate(scope)
            asked = await self._asked_path(request, receive)
            # As requests for it will be looked at.
            path = path_of({"path": asked, "root_path": scope.get("root_path", "")})
            ticket = await self._tickets.issue(identity, path)
        except CallerLeftError:
            return
        except DockrionError as exc:
            await send_error(send, exc, request.request_id)
            return
        data = {"ticket": ticket, "expires_in": TICKET_SECONDS}
        await send_json(send, 200, data, request.request_id, [(b"cache-control", b"no-store")])

    async def _asked_path(self, request: Request, receive: Receive) -> str:
        request.check_media_type(request.scope["path"])
        limit = min(MAX_BODY_BYTES, self._host.spec.expose.limits.max_body_bytes)
        body: Any = decode_payload(await request.body(receive, limit=limit))
        path: Any = body.get("path") if is_mapping(body) else None
        if not isinstance(path, str) or not _PATH.fullmatch(path):
            message = (
                "must be the path that the ticket is for, such as /invoke/stream, without a query"
            )
            problem = {"pointer": "/path", "message": message, "type": "pattern"}
            raise ValidationError(f"path: {message}", details=[problem])
        return path
