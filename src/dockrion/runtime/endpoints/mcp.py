"""`POST /mcp`: the agent as a tool. `GET` goes on with a stream that was cut."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, cast

import msgspec

from dockrion.errors import ConflictError, DockrionError, NotFoundError, ValidationError
from dockrion.events import sse
from dockrion.events.identity import Identity
from dockrion.events.jsonable import encode
from dockrion.events.model import Batch, Cancelled, Failed, Interrupted, RunStatus
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runs.service import RunCall
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import ASGIApp, Message, Receive, Scope, Send
from dockrion.runtime.endpoints.connection import Connection
from dockrion.runtime.endpoints.invoke import (
    Options,
    Payload,
    answer_nobody,
    checked_call,
    go_on,
    let_in,
    read_to_end,
    wrong_method,
)
from dockrion.runtime.endpoints.runs import runs_of, unknown
from dockrion.runtime.endpoints.wired import Known, RunEndpoint, Told, stream, wire_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.mcp_requests import McpRequest, origin_check
from dockrion.runtime.requests import (
    CallerLeftError,
    Request,
    decode_payload,
    is_run_id,
    is_thread_id,
)
from dockrion.runtime.responses import Headers, error_headers, send_json
from dockrion.runtime.traffic import Call
from dockrion.runtime.wire_writer import Retold
from dockrion.version import VERSION
from dockrion.wires.base import Wire, WireCall
from dockrion.wires.mcp import (
    Answered,
    Cancellation,
    Ignored,
    Listened,
    Mcp,
    McpCall,
    Read,
    Server,
    UserAnswer,
    run_name,
)
from dockrion.wires.mcp_events import McpWire
from dockrion.wires.mcp_rpc import (
    ASSUMED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RpcError,
    is_modern,
    message_of,
    refused,
)
from dockrion.wires.mcp_rpc import Request as RpcRequest
from dockrion.wires.mcp_tool import DETAILS_KEY, Question, Tool, answer_to, failure, required

_CANCELLED: Final = "The caller has cancelled the call."
_GIVEN_UP: Final = "The user would not answer."
_STREAM: Final[Headers] = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
# What a model can do better at its next call.
_FOR_THE_MODEL: Final = frozenset({"VALIDATION_ERROR", "POLICY_VIOLATION"})


class McpPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = (Mcp.path,)

    def __init__(self, host: AgentHost) -> None:
        self._endpoint = McpEndpoint(host)

    def find(self, path: str) -> ASGIApp | None:
        return self._endpoint if path == Mcp.path else None


class McpEndpoint(RunEndpoint):
    """Calls are runs; what else there is needs none, and counts as no invocation.

    Nothing is kept of a client: what its next request must know is in the ids that it sends with it.
    """

    def __init__(self, host: AgentHost) -> None:
        spec = host.spec
        server = Server(
            name=spec.agent.name,
            version=spec.metadata.version or VERSION,
            can_be_answered=spec.streaming.async_runs,
        )
        path = Mcp(Tool(spec, host.secrets.hide_in), server)
        super().__init__(host, path)
        self._reader = path
        self._may_call = origin_check(spec)
        # Those that are told here now, by the name that their clients know.
        self._told: dict[str, Run | Reader] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = McpRequest(scope)
        method = scope["method"]
        if not self._may_call(request):
            error = RpcError(INVALID_REQUEST, "Origin: expose.cors does not name it", status=403)
            await self._refuse(send, error, request)
        elif request.comes_back and method in ("GET", "POST"):
            await self.serve(request, receive, send, self._come_back)
        elif method != "POST":
            await self.refuse(send, wrong_method(request, ["POST"]), request, [(b"allow", b"POST")])
        else:
            await self._take(request, receive, send)

    async def refuse(
        self, send: Send, error: DockrionError, request: Request, headers: Headers | None = None
    ) -> None:
        assert isinstance(request, McpRequest), "it is made here"
        call = request.call
        if call is not None and error.code in _FOR_THE_MODEL:
            details = {} if error.details is None else {DETAILS_KEY: error.details}
            result = failure(error.message, error.code, **details)
            await self._reply(send, request, 200, call.response(result))
            return
        extra = [*request.answer_headers, *(headers or ()), *error_headers(error)]
        body = refused(error).body(request.message_id)
        await self._reply(send, request, error.status, body, extra)

    # What comes in

    async def _take(self, request: McpRequest, receive: Receive, send: Send) -> None:
        try:
            identity = await self.host.gate.identify(request.scope)
            request.check_media_type(request.scope["path"])
            limit = self.host.spec.expose.limits.max_body_bytes
            raw = await request.body(receive, limit=limit)
            body = decode_payload(raw, wanted="a JSON-RPC message")
        except CallerLeftError:
            await answer_nobody(send)
            return
        except DockrionError as exc:
            with self.host.traffic.begin(self.path.path, request) as call:
                call.refused(exc)
            await self.refuse(send, exc, request)
            return
        try:
            if isinstance(body, list):
                read = await self._read_batch(cast("list[Any]", body), identity, request)
            else:
                read = self._read(body, request, streams=request.takes_stream)
            if not isinstance(read, McpCall):
                await self._answer_at_once(read, identity, request, send)
                return
        except RpcError as exc:
            await self._refuse(send, exc, request)
            return
        except DockrionError as exc:
            await self.refuse(send, exc, request)
            return
        await self.serve(request, receive, send, partial(self._open_call, read, identity))

    def _read(self, body: Any, request: McpRequest, *, streams: bool) -> Read:
        message = message_of(body)
        request.message_id = message.id if isinstance(message, RpcRequest) else None
        try:
            return self._reader.read(message, request.head(), streams=streams)
        except RpcError as exc:
            of_old = isinstance(message, RpcRequest) and not is_modern(message, request.head())
            if of_old and exc.code in (METHOD_NOT_FOUND, INVALID_PARAMS):
                # In the revisions with a handshake a request that is understood is answered as any other.
                exc.status = 200
            raise

    async def _read_batch(self, body: list[Any], identity: Identity, request: McpRequest) -> Read:
        """Answer all but a call, which is what the rest waits for then."""
        if request.head().version not in (None, ASSUMED):
            raise RpcError(INVALID_REQUEST, "The body must be one message: batches are gone.")
        if not body:
            raise RpcError(INVALID_REQUEST, "A batch has at least one message.")
        answers: list[Any] = []
        found: McpCall | None = None
        call_id = None
        for one in body:
            request.message_id = None
            try:
                read = self._read(one, request, streams=False)
                match read:
                    case McpCall():
                        if found is not None:
                            raise RpcError(INVALID_REQUEST, "A batch has one tools/call at most.")
                        found, call_id = read, request.message_id
                    case Answered(body=answer):
                        answers.append(answer)
                    case Listened():
                        raise RpcError(INVALID_REQUEST, "A stream is no part of a batch.")
                    case _:
                        await self._heed(read, identity, request)
            except RpcError as exc:
                answers.append(exc.body(request.message_id))
            except DockrionError as exc:
                answers.append(refused(exc).body(request.message_id))
        request.message_id, request.others = call_id, answers
        return found or Ignored()

    async def _answer_at_once(
        self, read: Read, identity: Identity, request: McpRequest, send: Send
    ) -> None:
        match read:
            case Answered(body=body, opens_session=kind):
                session = [] if kind is None else [(b"mcp-session-id", _session(kind))]
                await self._reply(send, request, 200, body, session)
            case Listened(messages=messages):
                frames = b"".join(sse.frame(encode(one)) for one in messages)
                headers = [*_STREAM, (b"x-request-id", request.request_id)]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": frames})
            case _:
                if request.others:
                    await send_json(send, 200, request.others, request.request_id)
                    return
                await self._heed(read, identity, request)
                headers = [(b"content-length", b"0"), (b"x-request-id", request.request_id)]
                await send({"type": "http.response.start", "status": 202, "headers": headers})
                await send({"type": "http.response.body", "body": b""})

    async def _heed(self, read: Read, identity: Identity, request: McpRequest) -> None:
        """Do what a message asks for that has no answer."""
        match read:
            case Cancellation():
                await self._cancel(run_name(identity.id, read.session, read.request_id), identity)
            case UserAnswer():
                await self._take_answer(read, identity, request)
            case _:
                pass

    async def _cancel(self, name: str, identity: Identity) -> None:
        source = self._told.get(name)
        if self.host.runs is not None and self.host.runner is not None:
            run_id = name if source is None else source.run_id
            # It may be over, and nobody may keep it.
            with suppress(NotFoundError, ConflictError):
                await self.host.runs.cancel(run_id, identity, _CANCELLED)
        if isinstance(source, Run):
            source.stop(Cancelled(_CANCELLED))

    async def _take_answer(
        self, given: UserAnswer, identity: Identity, request: McpRequest
    ) -> None:
        host, run_id = self.host, given.run_id
        if host.rates is not None:
            await host.rates.admit(identity, request)
        if host.answered is None or not is_run_id(run_id):
            raise unknown(run_id)
        runs = await runs_of(host)
        record = await runs.get(run_id, identity)
        for one in record.questions:
            if one.interrupt_id == given.interrupt_id:
                break
        else:
            raise ConflictError(f"The run {run_id!r} does not wait for that answer.")
        if given.content is None:
            await runs.cancel(run_id, identity, _GIVEN_UP)
            return
        answer = answer_to(Question(one.interrupt_id, one.value), given.content)
        if host.injection is not None:
            await host.check_injection(answer, request_id=request.request_id.decode("latin-1"))
        await runs.resume(run_id, identity, {one.interrupt_id: answer}, cause=request.cause)

    # Runs

    async def _open_call(
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
        if record.status is RunStatus.INTERRUPTED and record.questions:
            questions = [Question(one.interrupt_id, one.value) for one in record.questions]
            if any(one.interrupt_id not in responses for one in questions):
                return Known(run_id, asked.response(required(questions, run_id)))
            contents = [responses[one.interrupt_id] for one in questions]
            if None in contents:
                await runs.cancel(run_id, identity, _GIVEN_UP)
            else:
                answers = {
                    one.interrupt_id: answer_to(one, content)
                    for one, content in zip(questions, contents, strict=True)
                }
                await runs.resume(run_id, identity, answers, cause=call.cause)
        reader = runs.channels.follow(run_id, record.end, stops_at_questions=True)
        return Told(reader, wire_of(asked, reader, thread_id=record.thread_id))

    async def _come_back(self, request: Request, receive: Receive) -> tuple[Told | Known, bool]:
        assert isinstance(request, McpRequest), "it is made here"
        host = self.host
        identity = await let_in(host, request)
        await request.body(receive, limit=host.spec.expose.limits.max_body_bytes)
        cursor = request.cursor()
        place = (cursor.run_id, cursor.sequence)
        reader = await go_on(host, place, identity=identity, from_start=True)
        asked = self._reader.read_again(cursor.told)
        return Told(reader, wire_of(asked, reader), seen=cursor.sequence + 1), True

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
        await self._reply(send, request, 200, wire.answer(), headers)

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
        self._told[name] = source
        try:
            yield
        finally:
            if self._told.get(name) is source:
                del self._told[name]

    # Answers

    async def _refuse(self, send: Send, error: RpcError, request: McpRequest) -> None:
        await self._reply(send, request, error.status, error.body(request.message_id))

    async def _reply(
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


class _Error(msgspec.Struct):
    message: str
    code: str


class _Result(msgspec.Struct):
    output: Any = None
    metadata: dict[str, Any] = {}
    error: _Error | None = None


def _of_record(tool: Tool, record: RunRecord) -> dict[str, Any]:
    """Return the result of a run that has ended before somebody asks."""
    run_id = record.run_id
    if record.result is None:
        return failure(f"The run was cancelled: {record.cancel_reason}", "CANCELLED", run_id)
    result = msgspec.json.decode(record.result, type=_Result)
    if result.error is not None:
        return failure(result.error.message, result.error.code, run_id)
    return tool.result(result.output, result.metadata, run_id)


def _session(kind: str) -> bytes:
    return kind.encode() + os.urandom(16).hex().encode()
