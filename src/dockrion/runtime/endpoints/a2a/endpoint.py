"""`POST /a2a`, whose tasks are runs."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec

from dockrion.errors import ConflictError, DockrionError, MethodNotAllowedError
from dockrion.events.identity import Identity
from dockrion.events.model import Interrupt, RunStatus
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import RPC_ID_KEY, ASGIApp, Receive, Scope, Send, path_of
from dockrion.runtime.endpoints.a2a.card import CardEndpoint
from dockrion.runtime.endpoints.a2a.tasks import Tasks, questions_of, unsupported
from dockrion.runtime.endpoints.answers import left_if_refused
from dockrion.runtime.endpoints.invoke import (
    Options,
    Payload,
    SeenAllError,
    answer_nobody,
    answer_nothing,
    checked_call,
    go_on,
    options_of,
    read_to_end,
    start_run,
    wrong_method,
)
from dockrion.runtime.endpoints.wired import Known, Told, read_or_left, stream, thread_of
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import (
    CallerLeftError,
    Heard,
    Request,
    decode_payload,
    is_thread_id,
)
from dockrion.runtime.responses import Headers, error_headers, send_json
from dockrion.runtime.traffic import Call
from dockrion.runtime.unforeseen import Refusal, native_words
from dockrion.runtime.wire_writer import Retold
from dockrion.wires.a2a.card import CARD_PATH
from dockrion.wires.a2a.requests import PATH, A2a, Asked, Subscribe
from dockrion.wires.a2a.requests import Send as Message
from dockrion.wires.a2a.rpc import (
    Kind,
    RefusedError,
    RpcId,
    check_version,
    error_answer,
    http_status,
    id_of,
    read_rpc,
)
from dockrion.wires.a2a.tasks import A2aWire
from dockrion.wires.a2a.tasks import Known as KnownEvents
from dockrion.wires.base import WireRun
from dockrion.wires.chat import Chat, wrong


class A2aPaths:
    """Finds what answers a path."""

    paths: tuple[str, ...] = (CARD_PATH, PATH)

    def __init__(self, host: AgentHost) -> None:
        chat = Chat(host.spec)
        self._found: dict[str, ASGIApp] = {
            CARD_PATH: CardEndpoint(host, chat),
            PATH: A2aEndpoint(host, chat),
        }

    def find(self, path: str) -> ASGIApp | None:
        return self._found.get(path)

    def refusal(self, error: DockrionError, scope: Scope) -> Refusal:
        if path_of(scope) == CARD_PATH:
            return native_words(error, scope)
        return Refusal(http_status(error), error_answer(scope.get(RPC_ID_KEY), error))


class _Came(NamedTuple):
    """One request on its way to an answer."""

    request: Request
    receive: Receive
    send: Send
    identity: Identity
    rpc_id: RpcId


class A2aEndpoint:
    """Where async runs are on, a task is kept whoever follows it; else it lives as long as its one request."""

    def __init__(self, host: AgentHost, chat: Chat) -> None:
        self._host = host
        self._reader = A2a(chat)
        self._tasks = Tasks(host, chat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, request = self._host, Request(scope)
        rpc_id: RpcId = None
        try:
            if scope["method"] != "POST":
                raise wrong_method(request, ["POST"])
            identity = await host.gate.identify(scope)
            request.check_media_type(scope["path"])
            options, heard = options_of(host, request), request.heard()
            data = await self._data(request, receive)
            rpc_id = scope[RPC_ID_KEY] = id_of(data)
            check_version(request.headers.get(b"a2a-version", b"").decode("latin-1"))
            rpc = read_rpc(data)
            asked = self._reader.read(rpc) if heard is None else self._reader.read_again(rpc)
            # What was sent must not live on while its answer is streamed.
            del data, rpc
        except CallerLeftError:
            await answer_nobody(send)
        except MethodNotAllowedError as exc:
            await _refuse(send, exc, request, rpc_id, [(b"allow", b"POST")])
        except DockrionError as exc:
            # It may have been a call that runs the agent, and counts as one.
            with host.traffic.begin(PATH, request) as call:
                call.refused(exc)
                call.sent_status = http_status(exc)
                await _refuse(send, exc, request, rpc_id)
        except Exception:
            with host.traffic.begin(PATH, request):
                raise
        else:
            came = _Came(request, receive, send, identity, rpc_id)
            if isinstance(asked, Message):
                await self._send(asked, came, options, heard)
            else:
                await self._look(asked, came)

    async def _data(self, request: Request, receive: Receive) -> Any:
        limit = self._host.spec.expose.limits.max_body_bytes
        body = await request.body(receive, limit=limit)
        return decode_payload(body, wanted="a JSON-RPC request")

    async def _look(self, asked: Asked, came: _Came) -> None:
        """Answer what runs nothing, and counts as nothing."""
        request = came.request
        try:
            if isinstance(asked, Subscribe):
                told = await self._subscribe(asked, came.identity)
            else:
                result = await self._tasks.answer(asked, came.identity)
                body = asked.words.answer(result)
                await send_json(came.send, 200, body, request.request_id)
                return
        except DockrionError as exc:
            await _refuse(came.send, exc, request, came.rpc_id)
            return
        await stream(self._host, told, request, came.receive, came.send)

    async def _subscribe(self, asked: Subscribe, identity: Identity) -> Told:
        runs, record = await self._tasks.found(asked.task_id, identity)
        if record.is_final:
            says = f"The task {record.run_id!r} has ended: {record.status}; get it instead."
            raise RefusedError(Kind.UNSUPPORTED, says, code=ConflictError.code)
        message = self._tasks.message(asked.words)
        _, told = await _followed(runs, message, record, questions=questions_of(record))
        return told

    async def _send(
        self, asked: Message, came: _Came, options: Options, heard: Heard | None
    ) -> None:
        host, request = self._host, came.request
        with host.traffic.begin(PATH, request) as call:
            try:
                if host.rates is not None:
                    await host.rates.admit(came.identity, request)
                if heard is not None:
                    opened = await self._again(asked, heard, came.identity)
                elif asked.task_id is not None:
                    opened = await self._answered(asked, asked.task_id, came)
                else:
                    opened = await self._begin(asked, came, options)
            except SeenAllError as exc:
                call.status, call.run_id = 204, exc.run_id
                await answer_nothing(came.send, request, exc.run_id)
            except DockrionError as exc:
                call.refused(exc)
                call.sent_status = http_status(exc)
                await _refuse(came.send, exc, request, came.rpc_id)
            else:
                await self._tell(opened, asked, call, came)

    async def _begin(self, asked: Message, came: _Came, options: Options) -> Told | Known:
        host = self._host
        given = options.thread_id or asked.thread_id
        if given is not None and not is_thread_id(given):
            raise wrong("message.contextId", "must be 1 to 256 printable characters")
        payload = Payload(asked.payload, is_input=True)
        call = await checked_call(host, came.request, payload, options, identity=came.identity)
        call = msgspec.structs.replace(call, thread_id=given, needs_tokens=True)
        runs = host.answered
        if asked.at_once:
            if runs is None:
                raise unsupported("returning before the task has ended")
            record, _ = await runs.create(call)
            return Known(record.run_id, await self._tasks.sent(asked, record))
        source: Run | Reader
        if runs is not None:
            source = await runs.start_direct(call, outlives=True)
        elif host.kept is not None:
            source = await host.kept.start_direct(call)
        else:
            source = await start_run(host, call, streams=True)
        return Told(source, _wire_of(asked, source, given))

    async def _answered(self, asked: Message, task_id: str, came: _Came) -> Told | Known:
        """Answer the task that waits; it goes on as the run that it is."""
        if self._host.answered is None:
            raise unsupported("answering a task")
        runs, record = await self._tasks.found(task_id, came.identity)
        if asked.thread_id not in (None, record.thread_id or record.run_id):
            raise wrong("message.contextId", "is not that of the task")
        _check_answers(record, asked.payload)
        if self._host.injection is not None:
            request_id = came.request.request_id.decode("latin-1")
            await self._host.check_injection(asked.payload, request_id=request_id)
        resume = partial(runs.resume, task_id, came.identity, cause=came.request.cause)
        try:
            if asked.at_once:
                resumed = await resume(asked.payload)
                return Known(record.run_id, await self._tasks.sent(asked, resumed))
            reader, told = await _followed(runs, asked, record)
            with left_if_refused(reader):
                await resume(asked.payload)
            return told
        except ConflictError as exc:
            raise RefusedError(Kind.UNSUPPORTED, exc.message, code=exc.code) from exc

    async def _again(self, asked: Message, heard: Heard, identity: Identity) -> Told:
        place, waits = (heard.run_id, heard.events - 1), heard.waits
        reader = await go_on(self._host, place, identity=identity, first=0, waits=waits)
        thread_id = await thread_of(self._host, reader)
        resumes_at = heard.events if heard.waits else None
        wire = _wire_of(asked, reader, thread_id, resumes_at=resumes_at)
        return Told(reader, wire, seen=heard.events, last=heard.last)

    async def _tell(self, opened: Told | Known, asked: Message, call: Call, came: _Came) -> None:
        request = came.request
        if isinstance(opened, Known):
            call.status, call.run_id = 200, opened.run_id
            await _answer(came, opened.run_id, opened.body)
            return
        call.run = opened.source
        if asked.streams:
            await stream(self._host, opened, request, came.receive, came.send, call=call)
            return
        assert isinstance(opened.wire, A2aWire), "it is ours"
        call.sent_status = 200
        try:
            if isinstance(opened.source, Reader):
                there = await self._hear(opened.source, opened.wire, came.receive)
            else:
                there = await self._hear_run(opened.source, opened.wire, came.receive)
        except DockrionError as exc:
            await _refuse(came.send, exc, request, came.rpc_id)
            return
        if there:
            await _answer(came, opened.source.run_id, opened.wire.answer())
        else:
            await answer_nobody(came.send)

    async def _hear(self, reader: Reader, wire: A2aWire, receive: Receive) -> bool:
        """Read a kept run until it ends or asks; false when its caller has gone, and it goes on."""
        clock = self._host.streams
        retold = Retold(reader, wire, seen=0, timestamps=self._host.timestamps.now)
        clock.watch(reader, receive)
        try:
            while not (reader.ended or retold.broken):
                read = await reader.next()
                if reader.gone:
                    return False
                retold.frames(read)
        finally:
            clock.unwatch(reader)
            reader.leave()
        if retold.failure is not None:
            raise retold.failure
        return True

    async def _hear_run(self, run: Run, wire: A2aWire, receive: Receive) -> bool:
        outcome = await read_to_end(self._host, run, receive, read=wire.encode)
        return outcome is not None and outcome is not CALLER_LEFT


def _check_answers(record: RunRecord, answers: Any) -> None:
    """A task that still waits for other answers would have nothing to tell of."""
    ids = [one.interrupt_id for one in record.questions]
    if len(ids) > 1 and not (isinstance(answers, dict) and answers.keys() == {*ids}):
        says = "must be one part with `data` that answers all of them: {interrupt_id: value}, for"
        raise wrong("message.parts", f"{says} {', '.join(ids)}")


async def _followed(
    runs: RunService,
    asked: Message,
    record: RunRecord,
    *,
    questions: tuple[Interrupt, ...] = (),
) -> tuple[Reader, Told]:
    """Follow a run from where it stands, which is what its caller is told first, with the `questions` that are open."""
    reader = await runs.follow(record, start=record.first, seen=record.end, stops_at_questions=True)
    waited = record.status is RunStatus.INTERRUPTED
    known = KnownEvents(record.end, questions, waited=waited) if record.end else None
    return reader, Told(reader, _wire_of(asked, reader, record.thread_id, known))


def _wire_of(
    asked: Message,
    source: Run | Reader,
    thread_id: str | None,
    known: KnownEvents | None = None,
    *,
    resumes_at: int | None = None,
) -> A2aWire:
    run = WireRun(
        run_id=source.run_id,
        thread_id=thread_id,
        streams=asked.streams,
        cursors=isinstance(source, Reader),
    )
    with read_or_left(source):
        return asked.wire(run, known, resumes_at=resumes_at)


async def _answer(came: _Came, run_id: str, body: Any) -> None:
    request = came.request
    headers = [(b"x-run-id", run_id.encode()), *request.answer_headers]
    await send_json(came.send, 200, body, request.request_id, headers)


async def _refuse(
    send: Send,
    error: DockrionError,
    request: Request,
    rpc_id: RpcId,
    headers: Headers | None = None,
) -> None:
    extra = [*request.answer_headers, *(headers or ()), *error_headers(error)]
    body = error_answer(rpc_id, error)
    await send_json(send, http_status(error), body, request.request_id, extra)
