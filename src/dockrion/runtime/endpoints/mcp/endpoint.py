"""`POST /mcp`: the agent as a tool. `GET` goes on with a stream that was cut."""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Final, cast

from dockrion.errors import ConflictError, DockrionError, NotFoundError
from dockrion.events import sse
from dockrion.events.identity import Identity
from dockrion.events.jsonable import encode
from dockrion.events.model import Cancelled
from dockrion.runs.run import Run
from dockrion.runtime.asgi import RPC_ID_KEY, ASGIApp, Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import answer_nobody, wrong_method
from dockrion.runtime.endpoints.mcp.calls import GIVEN_UP, McpCalls
from dockrion.runtime.endpoints.mcp.heads import McpRequest, origin_check
from dockrion.runtime.endpoints.mcp.metadata import METADATA_PATHS, metadata_endpoint
from dockrion.runtime.endpoints.runs import runs_of, unknown
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import CallerLeftError, decode_payload, is_run_id
from dockrion.runtime.responses import Headers, send_json
from dockrion.runtime.unforeseen import Refusal
from dockrion.version import VERSION
from dockrion.wires.mcp.requests import (
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
from dockrion.wires.mcp.rpc import (
    ASSUMED,
    INVALID_PARAMS,
    INVALID_REQUEST,
    MAX_BATCH,
    METHOD_NOT_FOUND,
    RpcError,
    check_version,
    is_modern,
    message_of,
    refused,
)
from dockrion.wires.mcp.rpc import Request as RpcRequest
from dockrion.wires.mcp.tool import Question, Tool, answer_to

_CANCELLED: Final = "The caller has cancelled the call."
_STREAM: Final[Headers] = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class McpPaths:
    """Finds what answers a path."""

    def __init__(self, host: AgentHost) -> None:
        self._found: dict[str, ASGIApp] = {Mcp.path: McpEndpoint(host)}
        metadata = metadata_endpoint(host)
        if metadata is not None:
            self._found |= dict.fromkeys(METADATA_PATHS, metadata)
        self.paths: tuple[str, ...] = tuple(self._found)

    def find(self, path: str) -> ASGIApp | None:
        return self._found.get(path)

    def refusal(self, error: DockrionError, scope: Scope) -> Refusal:
        return Refusal(error.status, refused(error).body(scope.get(RPC_ID_KEY)))


class McpEndpoint(McpCalls):
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
        super().__init__(host, Mcp(Tool(spec, host.secrets.hide_in), server))
        self._may_call = origin_check(spec)
        if host.runs is not None:
            host.runs.unkept = self._end_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = McpRequest(scope)
        method = scope["method"]
        if not self._may_call(request):
            error = RpcError(INVALID_REQUEST, "Origin: expose.cors does not name it", status=403)
            await self._refuse(send, error, request)
        elif request.comes_back and method in ("GET", "POST"):
            try:
                check_version(request.head().version)
            except RpcError as exc:
                await self._refuse(send, exc, request)
            else:
                await self.serve(request, receive, send, self.come_back)
        elif method != "POST":
            await self.refuse(send, wrong_method(request, ["POST"]), request, [(b"allow", b"POST")])
        else:
            await self._take(request, receive, send)

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
        except Exception:
            with self.host.traffic.begin(self.path.path, request):
                raise
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
        if b"traceparent" not in request.headers:
            # What calls by itself says so in the head; else the message says where it comes from.
            request.headers |= {name.encode(): value.encode() for name, value in read.trace.items()}
        await self.serve(request, receive, send, partial(self.open_call, read, identity))

    def _read(self, body: Any, request: McpRequest, *, streams: bool) -> Read:
        message = message_of(body)
        request.message_id = message.id if isinstance(message, RpcRequest) else None
        try:
            return self.reader.read(message, request.head(), streams=streams)
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
        if len(body) > MAX_BATCH:
            raise RpcError(INVALID_REQUEST, f"A batch has at most {MAX_BATCH} messages.")
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
                await self.reply(send, request, 200, body, session)
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
                headers = [
                    (b"content-length", b"0"),
                    (b"x-request-id", request.request_id),
                    *request.answer_headers,
                ]
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
        source, runs = self.told.get(name), self.host.runs
        if runs is not None and self.host.runner is not None:
            run_id = name if source is None else source.run_id
            try:
                await runs.cancel(run_id, identity, _CANCELLED)
            except ConflictError:
                # It is over.
                pass
            except NotFoundError:
                if source is None:
                    # Nobody keeps it, and another process may have it. Its caller alone can say that name.
                    await runs.store.call_off(name)
        self._end_here(name)

    def _end_here(self, name: str) -> None:
        source = self.told.get(name)
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
            await runs.cancel(run_id, identity, GIVEN_UP)
            return
        answer = answer_to(Question(one.interrupt_id, one.value), given.content)
        if host.injection is not None:
            await host.check_injection(answer, request_id=request.request_id.decode("latin-1"))
        await runs.resume(run_id, identity, {one.interrupt_id: answer}, cause=request.cause)

    async def _refuse(self, send: Send, error: RpcError, request: McpRequest) -> None:
        await self.reply(send, request, error.status, error.body(request.message_id))


def _session(kind: str) -> bytes:
    return kind.encode() + os.urandom(16).hex().encode()
