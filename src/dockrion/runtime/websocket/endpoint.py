"""`GET /invoke/ws`: the handshake, and who calls; then it is for `session.py`."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from dockrion.errors import (
    AuthError,
    DockrionError,
    PermissionDeniedError,
    ValidationError,
)
from dockrion.runtime.asgi import Message, Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import refuse_method
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import send_error
from dockrion.runtime.traffic import SOCKET_PATH
from dockrion.runtime.unforeseen import told
from dockrion.runtime.websocket import messages
from dockrion.runtime.websocket.caller import Caller, check_origin
from dockrion.runtime.websocket.line import Line
from dockrion.runtime.websocket.messages import AuthenticateMessage, UnreadableError
from dockrion.runtime.websocket.refusals import CallRequest
from dockrion.runtime.websocket.session import Session

# For a caller to say who it is, and what that may take.
AUTH_SECONDS: Final = 10.0
AUTH_BYTES: Final = 64 << 10

UNSUPPORTED_DATA: Final = 1003
TOO_LARGE: Final = 1009
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
NOT_AUTHENTICATED: Final = 4401
NOT_PERMITTED: Final = 4403


class NoSocketError(ValidationError):
    status = 426


class SocketEndpoint:
    """Both for the scope `websocket`, and for requests that ask for none where there is nothing else."""

    def __init__(self, host: AgentHost) -> None:
        self._host = host

    async def answer_request(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Say what is here."""
        request = Request(scope)
        if scope["method"] != "GET":
            await refuse_method(send, request, takes=("GET",))
            return
        error = NoSocketError(
            f"{scope['path']} is a WebSocket (version 13): open it with a client of those."
        )
        headers = [
            (b"upgrade", b"websocket"),
            (b"connection", b"upgrade"),
            (b"sec-websocket-version", b"13"),
        ]
        await send_error(send, error, request.request_id, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = self._host
        host.start()
        if (await receive())["type"] != "websocket.connect":
            return
        request = Request(scope)
        try:
            scope = check_origin(scope, host.spec.expose.cors)
            caller = Caller(host.spec, host.gate, scope)
            headers = await caller.introduce()
        except Exception as exc:
            error = told(exc, scope)
            with host.traffic.begin(SOCKET_PATH, request) as call:
                call.refused(error)
            await _refuse(scope, send, error, request)
            return
        extensions: Any = scope.get("extensions") or {}
        server = extensions.get("dockrion.websocket")
        inbox = Inbox(receive, Line(send, joins=server is not None), server)
        inbox.limit = AUTH_BYTES
        if caller.is_known:
            inbox.limit = host.spec.expose.limits.max_body_bytes
        headers.append((b"x-request-id", request.request_id))
        await send({"type": "websocket.accept", "headers": headers})
        if not caller.is_known:
            if not await self._is_introduced(caller, inbox, scope):
                return
            inbox.limit = host.spec.expose.limits.max_body_bytes
        await Session(host, scope, inbox.line, caller).serve(inbox.next)

    async def _is_introduced(self, caller: Caller, inbox: Inbox, scope: Scope) -> bool:
        """Let the first message say who calls; else say why not, and close."""
        asked_id: str | None = None
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                text = await inbox.next()
                if text is None:
                    return False
                asked = messages.read(text)
                asked_id = asked.id
                if not isinstance(asked, AuthenticateMessage):
                    raise AuthError("Say who you are first: a message of type authenticate.")
                await caller.authenticate(asked)
        except TimeoutError:
            error: DockrionError = AuthError(
                f"No message of type authenticate came within {AUTH_SECONDS:g} s."
            )
        except UnreadableError as exc:
            asked_id, error = exc.id, exc
        except OSError:
            # Some servers say so when the caller has gone.
            return False
        except Exception as exc:
            error = told(exc, scope)
        else:
            await inbox.line.say(messages.authenticated(asked_id))
            return True
        request = CallRequest(scope)
        with self._host.traffic.begin(SOCKET_PATH, request) as call:
            call.refused(error)
        await inbox.line.say(messages.refused(asked_id, error, request_id=request.request_id))
        await inbox.line.close(_code_of(error), error.message[:100])
        return False


class Inbox:
    """What a caller says, one message after the other; one that is none closes the connection."""

    def __init__(self, receive: Receive, line: Line, server: Any) -> None:
        self._receive = receive
        self._server = server
        self._limit = AUTH_BYTES
        self.line = line

    @property
    def limit(self) -> int:
        """The bytes that a message may have. Our own server refuses it before it is read."""
        return self._limit

    @limit.setter
    def limit(self, message_bytes: int) -> None:
        self._limit = message_bytes
        if self._server is not None:
            self._server["limit"](message_bytes)

    async def next(self) -> str | None:
        """Return the next message; None once the connection has ended."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        if text is None:
            await self.line.close(UNSUPPORTED_DATA, "messages are JSON, in text frames")
            return None
        if len(text) > self._limit or (
            self._server is None and len(text.encode("utf-8", "surrogatepass")) > self._limit
        ):
            await self.line.close(TOO_LARGE, f"a message is larger than {self._limit} bytes")
            return None
        return text


def _code_of(error: DockrionError) -> int:
    if error.status == 500:
        return INTERNAL_ERROR
    if isinstance(error, PermissionDeniedError):
        return NOT_PERMITTED
    return TRY_AGAIN_LATER if error.status == 503 else NOT_AUTHENTICATED


async def _refuse(scope: Scope, send: Send, error: DockrionError, request: Request) -> None:
    """Answer the handshake as a request that is refused, where the server can; else it is a 403."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": NOT_AUTHENTICATED})
        return

    async def send_refusal(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await send_error(send_refusal, error, request.request_id)
