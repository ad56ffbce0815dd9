"""`tools/call` of MCP: runs, the answers that they wait for, and streams that somebody comes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import msgspec

from dockrion.errors import ConflictError, DockrionError, ValidationError
from dockrion.events.identity import Identity
from dockrion.events.model import Batch, Cancelled, Complete, Failed, Interrupted, RunStatus
from dockrion.runs.call import RunCall
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runs.settling import ending_of
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import Message, Receive, Scope, Send
from dockrion.runtime.endpoints.answers import left_if_refused
from dockrion.runtime.endpoints.connection import Connection
from dockrion.runtime.endpoints.invoke import (
    Options,
    Payload,
    answer_nobody,
    checked_call,
    go_on,
    let_in,
    read_to_end,
)
from dockrion.runtime.endpoints.mcp.heads import McpRequest
from dockrion.runtime.endpoints.mcp.metadata import metadata_endpoint, metadata_url
from dockrion.runtime.endpoints.runs import runs_of, unknown
from dockrion.runtime.endpoints.wired import Known, RunEndpoint, Told, stream, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request, is_run_id, is_thread_id
from dockrion.runtime.responses import Headers, error_headers, send_json
from dockrion.runtime.traffic import Call
from dockrion.runtime.wire_writer import Retold
from dockrion.wires.base import Wire, WireCall
from dockrion.wires.mcp.events import McpWire
from dockrion.wires.mcp.requests import Mcp, McpCall, run_name
from dockrion.wires.mcp.rpc import refused
from dockrion.wires.mcp.tool import DETAILS_KEY, Question, Tool, answer_to, failure, required

GIVEN_UP: Final = "The user would not answer."
# What a model can do better at its next call.
_FOR_THE_MODEL: Final = frozenset({"VALIDATION_ERROR", "POLICY_VIOLATION"})


class McpCalls(RunEndpoint):
    """What answers calls. Whoever has made one can call again with answers, or come back to its stream."""

    def __init__(self, host: AgentHost, reader: Mcp) -> None:
        super().__init__(host, reader)
        self.reader: Final = reader
        self._leads_to_tokens = metadata_endpoint(host) is not None
        # Those that are told here now, by the name that their clients know.
        self.told: Final[dict[str, Run | Reader]] = {}

    async def refuse(
        self, send: Send, error: DockrionError, request: Request, headers: Headers | None = None
    ) -> None:
        assert isinstance(request, McpRequest), "it is made here"
        call = request.call
        if call is not None and error.code in _FOR_THE_MODEL:
            details = {} if error.details is None else {DETAILS_KEY: error.details}
            result = failure(error.message, error.code, **details)
            given = [*request.answer_headers]
            await self.reply(send, request, 200, call.response(result), given)
            return
        extra = [*request.answer_headers, *(headers or ()), *error_headers(error)]
        if error.status == 401 and self._leads_to_tokens:
            where = f', resource_metadata="{metadata_url(request)}"'.encode()
            name = b"www-authenticate"
            extra = [(key, value + where if key == name else value) for key, value in extra]
        body = refused(error).body(request.message_id)
        await self.reply(send, request, error.status, body, extra)

    async def open_call(
        self, asked: McpCall, identity: Identity, request: Request, _receive: Receive
    ) -> tuple[Told | Known, bool]:
        assert isinstance(request, McpRequest), "it is made here"
        host = self.host
        if host.rates is not None:
            await host.rates.admit(identity, request)
        run_id = request.run_id(allowed=host.spec.streaming.allow_client_ids)
        thread_id = request.thread_id() or asked.thread_id
        if thread_id is not None and not is_thread_id(thread_id):
            raise ValidationError("The id of the thread must be 1 to 256 printable characters.")
        if asked.session is not None:
            request.run_name = run_name(identity.id, asked.session, asked.told.request_id)
            if run_id is None and host.spec.streaming.id_generator.type == "uuid":
                run_id = request.run_name
        request.call = asked
        payload = Payload(asked.payload, is_input=asked.is_input)
        options = Options(run_id, thread_id)
        call = await checked_call(host, request, payload, options, identity=identity)
        call = msgspec.structs.replace(call, needs_tokens=asked.told.tokens)
        return await self.begin(asked, call), asked.streams

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        if not (isinstance(asked, McpCall) and asked.given is not None):
            return await super().begin(asked, call)
        run_id, responses = asked.given
        if self.host.answered is None or not is_run_id(run_id):
            raise unknown(run_id)
        runs, identity = await runs_of(self.host), call.identity
        record = await runs.get(run_id, identity)
        if record.is_final:
            # Who calls again after a cut, with what has been answered.
            return Known(run_id, asked.response(_of_record(asked.tool, record)))
        answering: Callable[[], Awaitable[object]] | None = None
        if record.status is RunStatus.INTERRUPTED and record.questions:
            questions = [Question(one.interrupt_id, one.value) for one in record.questions]
            if any(one.interrupt_id not in responses for one in questions):
                return Known(run_id, asked.response(required(questions, run_id)))
            contents = [responses[one.interrupt_id] for one in questions]
            if None in contents:
                answering = partial(runs.cancel, run_id, identity, GIVEN_UP)
            else:
                answers = {
                    one.interrupt_id: answer_to(one, content)
                    for one, content in zip(questions, contents, strict=True)
                }
                answering = partial(runs.resume, run_id, identity, answers, cause=call.cause)
        reader = await runs.follow(record, start=record.end, stops_at_questions=True)
        if answering is not None:
            # Whoever was quicker has said the same, or what counts now.
            with left_if_refused(reader), suppress(ConflictError):
                await answering()
        return Told(reader, wire_of(asked, reader, thread_id=record.thread_id))

    async def come_back(self, request: Request, receive: Receive) -> tuple[Told | Known, bool]:
        assert isinstance(request, McpRequest), "it is made here"
        host = self.host
        identity = await let_in(host, request)
        await request.body(receive, limit=host.spec.expose.limits.max_body_bytes)
        cursor = request.cursor()
        place = (cursor.run_id, cursor.sequence)
        reader = await go_on(host, place, identity=identity, first=0)
        asked = self.reader.read_again(cursor.told)
        wire, last = wire_of(asked, reader), request.headers[b"last-event-id"]
        return Told(reader, wire, seen=cursor.sequence + 1, last=last), True

    async def _tell(
        self,
        opened: Told | Known,
        call: Call,
        request: Request,
        receive: Receive,
        send: Send,
        *,
        streams: bool,
    ) -> None:
        assert isinstance(request, McpRequest), "it is made here"
        if isinstance(opened, Known):
            await super()._tell(opened, call, request, receive, send, streams=streams)
            return
        call.run = opened.source
        with self._known_as(request.run_name, opened.source):
            if streams:
                await self._stream(opened, call, request, receive, send)
            else:
                await self._answer_whole(opened, request, receive, send)

    async def _stream(
        self, told: Told, call: Call, request: Request, receive: Receive, send: Send
    ) -> None:
        """Send a run to its end: the questions of a client that answers beside its stream do not end that."""
        wire = told.wire
        assert isinstance(wire, McpWire), "it is made here"
        if not wire.told.asks or wire.told.modern:
            await stream(self.host, told, request, receive, send, call=call)
            return

        async def send_on(message: Message) -> None:
            if wire.waits and message["type"] == "http.response.body":
                message = {**message, "more_body": True}
            await send(message)

        await stream(self.host, told, request, receive, send_on, call=call)
        runs = self.host.answered
        while wire.waits and runs is not None:
            wire.waits = False
            follow = partial(runs.channels.follow, wire.run_id, stops_at_questions=True)
            try:
                reader = call.run = follow(wire.position)
            except DockrionError as exc:
                batch = Batch([Failed(exc.message, exc.code)], wire.position, "")
                await send({"type": "http.response.body", "body": wire.encode(batch)})
                return
            on = Told(reader, wire, seen=wire.position)
            await stream(self.host, on, request, receive, send_on, call=call, is_open=True)

    async def _answer_whole(
        self, told: Told, request: McpRequest, receive: Receive, send: Send
    ) -> None:
        """Answer with what a run has come to, at once."""
        source, wire = told.source, told.wire
        assert isinstance(wire, McpWire), "it is made here"
        if isinstance(source, Run):
            outcome = await read_to_end(self.host, source, receive, read=wire.encode)
            if outcome is None or outcome is CALLER_LEFT:
                await answer_nobody(send)
                return
            if isinstance(outcome, Interrupted):
                wire.paused()
            elif isinstance(outcome, Failed) and not wire.is_answered:
                # It waits, and could not be kept.
                wire.encode(Batch([outcome], wire.position, ""))
        elif not await self._read_whole(source, wire, request.scope, receive):
            await answer_nobody(send)
            return
        headers = [(b"x-run-id", source.run_id.encode()), *request.answer_headers]
        await self.reply(send, request, 200, wire.answer(), headers)

    async def _read_whole(self, reader: Reader, wire: Wire, scope: Scope, receive: Receive) -> bool:
        """Feed a wire with a kept run; return whether its caller is still there."""
        retold = Retold(reader, wire, seen=0, timestamps=self.host.timestamps.now)
        try:
            async with Connection(self.host, reader, scope, receive):
                while not (reader.ended or retold.broken or reader.gone):
                    retold.frames(await reader.next())
        finally:
            reader.leave()
        return not reader.gone

    @contextmanager
    def _known_as(self, name: str | None, source: Run | Reader) -> Generator[None]:
        if name is None:
            yield
            return
        self.told[name] = source
        try:
            yield
        finally:
            if self.told.get(name) is source:
                del self.told[name]

    async def reply(
        self,
        send: Send,
        request: McpRequest,
        status: int,
        body: Any,
        headers: Headers | None = None,
    ) -> None:
        if request.others is not None:
            status, body = 200, [*request.others, body]
        await send_json(send, status, body, request.request_id, headers)


def _of_record(tool: Tool, record: RunRecord) -> dict[str, Any]:
    """Return the result of a run that has ended before somebody asks."""
    run_id = record.run_id
    match ending_of(record):
        case Complete(output=output, metadata=metadata):
            return tool.result(output, metadata, run_id)
        case Failed(error=message, code=code):
            return failure(message, code, run_id)
        case Cancelled(reason=reason):
            return failure(f"The run was cancelled: {reason}", "CANCELLED", run_id)
