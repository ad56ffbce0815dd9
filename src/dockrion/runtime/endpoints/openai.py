"""The paths of OpenAI's protocols: chat completions, responses and what becomes of them, models."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from time import time
from typing import Any, Final, TypeAlias

from dockrion.errors import ConflictError, DockrionError, NotFoundError, ValidationError
from dockrion.events.identity import Identity
from dockrion.events.ids import SEQUENCE
from dockrion.events.model import (
    Batch,
    Event,
    Interrupt,
    RunStatus,
)
from dockrion.runs.call import RunCall
from dockrion.runs.log import Clock
from dockrion.runs.settling import ending_of
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import ASGIApp, Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import wrong_method
from dockrion.runtime.endpoints.runs import CANCELLED_BY_CALLER, runs_of
from dockrion.runtime.endpoints.wired import Known, Told, WiredEndpoint, stream, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request
from dockrion.runtime.responses import error_headers, send_json, start_stream
from dockrion.runtime.unforeseen import Refusal
from dockrion.runtime.wire_writer import Retold
from dockrion.wires.base import WireCall, WireRun
from dockrion.wires.chat import Chat, wrong
from dockrion.wires.openai.chat import ChatCompletions
from dockrion.wires.openai.parts import refusal
from dockrion.wires.openai.responses import ResponseId, Responses, ResponsesCall

PATHS: Final = (
    "/v1/chat/completions",
    "/v1/models",
    "/v1/models/{model}",
    "/v1/responses",
    "/v1/responses/{response_id}",
    "/v1/responses/{response_id}/cancel",
)
_RESPONSE: Final = re.compile(r"/v1/responses/([^/]+)(/cancel)?")
_MODEL: Final = re.compile(r"/v1/models(?:/(.+))?")
_STARTING_AFTER: Final = re.compile(SEQUENCE)
_FLAG: Final = re.compile(r"true|false|1|0")
_TIMES: Final = Clock()

Ask: TypeAlias = Callable[["ReadRequest", Identity], Awaitable[Any]]


class ReadRequest(Request):
    """Head of a request for what is there already."""

    __slots__ = ()

    def streams(self) -> bool:
        says = "true or false"
        return self._option("stream", _FLAG, says, header=None) in ("true", "1")

    def starting_after(self) -> int:
        given = self._option(
            "starting_after", _STARTING_AFTER, "the number of an event", header=None
        )
        return -1 if given is None else int(given)


class OpenAIPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = PATHS

    def __init__(self, host: AgentHost) -> None:
        chat = Chat(host.spec)
        self._host = host
        self._responses = ResponsesEndpoint(host, Responses(chat))
        self._posts: dict[str, ASGIApp] = {
            ChatCompletions.path: WiredEndpoint(host, ChatCompletions(chat)),
            Responses.path: self._responses,
        }
        self._since = int(time())

    def find(self, path: str) -> ASGIApp | None:
        if not path.startswith("/v1/"):
            return None
        if (endpoint := self._posts.get(path)) is not None:
            return endpoint
        if (found := _RESPONSE.fullmatch(path)) is not None:
            response_id, cancels = found.groups()
            return partial(self._responses.cancel if cancels else self._responses.get, response_id)
        if (found := _MODEL.fullmatch(path)) is not None:
            return partial(self._models, found[1])
        return None

    def refusal(self, error: DockrionError, _scope: Scope) -> Refusal:
        return Refusal(error.status, refusal(error))

    async def _models(self, name: str | None, scope: Scope, _receive: Receive, send: Send) -> None:
        agent = self._host.spec.agent.name
        model = {"id": agent, "object": "model", "created": self._since, "owned_by": "dockrion"}

        async def listed(_request: ReadRequest, _identity: Identity) -> Any:
            if name is None:
                return {"object": "list", "data": [model]}
            if name != agent:
                raise NotFoundError(f"There is no model {name[:80]!r}; this server has {agent!r}.")
            return model

        await _answer(self._host, scope, send, listed)


class ResponsesEndpoint(WiredEndpoint):
    """Responses are runs; those that are kept can be looked at, followed again and cancelled."""

    def __init__(self, host: AgentHost, responses: Responses) -> None:
        super().__init__(host, responses)
        self._reader = responses

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        if not (isinstance(asked, ResponsesCall) and asked.background):
            return await super().begin(asked, call)
        runs = self.host.answered
        if runs is None:
            raise wrong("background", "this agent has no async runs (streaming.async_runs)")
        record, _ = await runs.create(call)
        if not asked.streams:
            return Known(record.run_id, self._at_once(asked, record))
        reader = runs.channels.follow(record.run_id, 0, stops_at_questions=True)
        return Told(reader, wire_of(asked, reader, thread_id=call.thread_id))

    async def get(self, response_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        request = ReadRequest(scope)
        told: Told | None = None

        async def asked(request: ReadRequest, identity: Identity) -> Any:
            nonlocal told
            record = await self._found(response_id, identity)
            if not request.streams():
                return await self._told(record)
            call = self._reader.read_kept(
                streams=True,
                background=not record.direct,
                starting_after=request.starting_after(),
            )
            runs = await runs_of(self.host)
            reader = await runs.follow(record, start=0, stops_at_questions=True)
            told = Told(reader, wire_of(call, reader, thread_id=record.thread_id))
            return None

        await _answer(self.host, scope, send, asked)
        if told is None:
            return
        if scope["method"] != "HEAD":
            await stream(self.host, told, request, receive, send)
            return
        # The next request on the connection would wait for the run to end.
        told.source.leave()
        await start_stream(send, request, told.wire.content_type, told.source.run_id)
        await send({"type": "http.response.body", "body": b""})

    async def cancel(self, response_id: str, scope: Scope, _receive: Receive, send: Send) -> None:
        async def asked(_request: ReadRequest, identity: Identity) -> Any:
            record = await self._found(response_id, identity)
            runs = await runs_of(self.host)
            try:
                record = await runs.cancel(record.run_id, identity, CANCELLED_BY_CALLER)
            except ConflictError as exc:
                raise ValidationError(exc.message) from exc
            return await self._told(record)

        await _answer(self.host, scope, send, asked, takes=("POST",))

    async def _found(self, response_id: str, identity: Identity) -> RunRecord:
        known = ResponseId.read(response_id)
        if known is None or self.host.runs is None:
            raise NotFoundError(f"There is no response {response_id[:80]!r}.")
        return await (await runs_of(self.host)).get(known.run_id, identity)

    def _at_once(self, asked: ResponsesCall, record: RunRecord) -> dict[str, Any]:
        """Return a response that has nothing yet."""
        status = "queued" if record.status is RunStatus.ACCEPTED else "in_progress"
        body = asked.wire(_run_of(record)).answer()
        return {**body, "status": status, "created_at": int(record.created_at)}

    async def _told(self, record: RunRecord) -> dict[str, Any]:
        """Return a response as it stands: what an agent that works has said so far is for those who stream."""
        call = self._reader.read_kept(streams=False, background=not record.direct)
        if not (record.is_final or record.status is RunStatus.INTERRUPTED):
            return self._at_once(call, record)
        runs = await runs_of(self.host)
        reader = runs.channels.follow(record.run_id, 0, stops_at_questions=True)
        try:
            wire = call.wire(_run_of(record))
            retold = Retold(reader, wire, seen=0, timestamps=self.host.timestamps.now)
            while not (reader.ended or retold.broken):
                retold.frames(await reader.next())
        finally:
            reader.leave()
        return self._of_record(call, record) if retold.broken else wire.answer()

    def _of_record(self, call: ResponsesCall, record: RunRecord) -> dict[str, Any]:
        """Return what is left of a response whose first events are kept no more: its end, or what it waits for."""
        wire = call.wire(_run_of(record))
        wire.encode(Batch(_left_of(record), 0, _TIMES.text_of(record.created_at)))
        if not record.is_final:
            wire.paused()
        return wire.answer()


def _left_of(record: RunRecord) -> list[Event]:
    if not record.is_final:
        return [Interrupt(one.value, one.interrupt_id) for one in record.questions]
    return [ending_of(record)]


def _run_of(record: RunRecord) -> WireRun:
    return WireRun(run_id=record.run_id, thread_id=record.thread_id, streams=False, cursors=True)


async def _answer(
    host: AgentHost, scope: Scope, send: Send, ask: Ask, takes: tuple[str, ...] = ("GET", "HEAD")
) -> None:
    """Answer with what `ask` gives, nothing where that is None: it streams by itself."""
    request = ReadRequest(scope)
    headers: list[tuple[bytes, bytes]] = []
    try:
        if scope["method"] not in takes:
            headers.append((b"allow", ", ".join(takes).encode()))
            raise wrong_method(request, takes)
        body = await ask(request, await host.gate.identify(scope))
    except DockrionError as exc:
        headers += error_headers(exc)
        await send_json(send, exc.status, refusal(exc), request.request_id, headers)
        return
    if body is not None:
        await send_json(send, 200, body, request.request_id)
