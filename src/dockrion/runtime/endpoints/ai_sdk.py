"""`POST /ai-sdk`: runs, and the answers that they wait for; `GET /ai-sdk/{chat_id}/stream`: those that go on, told again."""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar, Final

from dockrion.errors import DockrionError, GoneError
from dockrion.runs.call import RunCall
from dockrion.runtime.asgi import ASGIApp, Receive, Scope, Send
from dockrion.runtime.endpoints.answers import answer
from dockrion.runtime.endpoints.invoke import answer_nothing, wrong_method
from dockrion.runtime.endpoints.runs import runs_of
from dockrion.runtime.endpoints.wired import Known, Told, WiredEndpoint, stream, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import Header
from dockrion.runtime.unforeseen import Refusal
from dockrion.wires.ai_sdk.requests import AiSdk, AiSdkCall
from dockrion.wires.base import WireCall
from dockrion.wires.chat import Chat

PATHS: Final = (AiSdk.path, "/ai-sdk/{chat_id}/stream")
_CHAT: Final = re.compile(r"/ai-sdk/(.+)/stream", re.DOTALL)


class AiSdkPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = PATHS

    def __init__(self, host: AgentHost) -> None:
        self._endpoint = AiSdkEndpoint(host, AiSdk(Chat(host.spec)))

    def find(self, path: str) -> ASGIApp | None:
        if path == AiSdk.path:
            return self._endpoint
        found = _CHAT.fullmatch(path)
        return None if found is None else partial(self._endpoint.go_on, found[1])

    def refusal(self, error: DockrionError, _scope: Scope) -> Refusal:
        return Refusal(error.status, self._endpoint.path.refusal(error))


class AiSdkEndpoint(WiredEndpoint):
    """An answer lets the run that has asked go on, and its message on the page."""

    stream_headers: ClassVar[tuple[Header, ...]] = ((b"x-vercel-ai-ui-message-stream", b"v1"),)

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        if not (isinstance(asked, AiSdkCall) and asked.told.answers):
            return await super().begin(asked, call)
        reader, left = await answer(
            self.host, call, asked.told.answers, field="messages", thread_field="id"
        )
        return Told(reader, wire_of(asked, reader, thread_id=call.thread_id), left=left)

    async def go_on(self, chat_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the chat's run from its first event, if one goes on."""
        request = Request(scope)
        try:
            if scope["method"] != "GET":
                raise wrong_method(request, ["GET"])
            told = await self._going_on(chat_id, request)
        except DockrionError as exc:
            allowed = [(b"allow", b"GET")] if exc.status == 405 else []
            await self.refuse(send, exc, request, allowed)
            return
        if told is None:
            await answer_nothing(send, request)
        else:
            await stream(self.host, told, request, receive, send, headers=self.stream_headers)

    async def _going_on(self, chat_id: str, request: Request) -> Told | None:
        identity = await self.host.gate.identify(request.scope)
        thread_id = request.thread_id() or chat_id
        if self.host.runs is None:
            return None
        runs = await runs_of(self.host)
        record = await runs.going_on_in(thread_id, identity)
        if record is None:
            return None
        try:
            reader = await runs.follow_direct(record.run_id, identity, after=-1)
        except GoneError:
            reader = None
        if reader is None:
            return None
        call = self._reader.read_again(None)
        return Told(reader, wire_of(call, reader, thread_id=record.thread_id))
