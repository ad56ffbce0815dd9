"""`POST` of other protocols: the runs of `/invoke` and `/invoke/stream`, asked for and told in other words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from dockrion.errors import DockrionError, ValidationError, error_for
from dockrion.events.model import Cancelled, Complete, Failed, Interrupted
from dockrion.runs.call import RunCall
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runtime.asgi import Receive, Scope, Send
from dockrion.runtime.endpoints.connection import Connection
from dockrion.runtime.endpoints.invoke import (
    Payload,
    SeenAllError,
    answer_nobody,
    answer_nothing,
    go_on,
    keep_waiting,
    let_in,
    read_call,
    read_to_end,
    start_run,
    wrong_method,
)
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import CallerLeftError, Request, decode_payload, is_thread_id
from dockrion.runtime.responses import Header, Headers, error_headers, send_json, start_stream
from dockrion.runtime.streams import OpenStream
from dockrion.runtime.traffic import Call
from dockrion.runtime.unforeseen import past_head
from dockrion.runtime.wire_writer import Retold
from dockrion.runtime.writer import HeldWriter, StreamWriter
from dockrion.wires.base import (
    AnsweringCall,
    AnswerWire,
    OpeningWire,
    Wire,
    WireCall,
    WireEntry,
    WirePath,
    WireRun,
)

# Clients of some protocols send a call again by themselves when it fails, and an agent would be paid for twice.
_NOT_AGAIN: Final = (b"x-should-retry", b"false")


class Told(NamedTuple):
    """What is streamed, and in whose words; its caller has `seen` so many events of it, and of the next the frames up to
    that with the id `last`. `left` is called when a caller leaves a run that goes on without one by itself.
    """

    source: Run | Reader
    wire: Wire
    seen: int = 0
    last: bytes | None = None
    left: Callable[[], Awaitable[object]] | None = None


class Known(NamedTuple):
    """What can be answered at once: a run that nobody waits for."""

    run_id: str
    body: Any


# Gives what is told, and whether as a stream; raises what a request can be refused with.
Opening = Callable[[Request, Receive], Awaitable[tuple[Told | Known, bool]]]


class RunEndpoint:
    """Answers invocations with runs, however they are read. `stream_headers` are what its streams have beside those of all."""

    stream_headers: ClassVar[tuple[Header, ...]] = ()

    def __init__(self, host: AgentHost, path: WireEntry) -> None:
        self.host: Final = host
        self.path: Final = path

    async def serve(self, request: Request, receive: Receive, send: Send, opening: Opening) -> None:
        """Answer one invocation with the run that `opening` gives."""
        with self.host.traffic.begin(self.path.path, request) as call:
            try:
                opened, streams = await opening(request, receive)
            except CallerLeftError:
                call.left()
                await answer_nobody(send)
            except SeenAllError as exc:
                call.status, call.run_id = 204, exc.run_id
                await answer_nothing(send, request, exc.run_id)
            except DockrionError as exc:
                call.refused(exc)
                await self.refuse(send, exc, request)
            else:
                await self._tell(opened, call, request, receive, send, streams=streams)

    async def begin(self, asked: WireCall, call: RunCall) -> Told | Known:
        """Start the run that is asked for."""
        kept = self.host.kept if asked.streams else None
        source = (
            await start_run(self.host, call, streams=True)
            if kept is None
            else await kept.start_direct(call)
        )
        return Told(source, wire_of(asked, source, thread_id=call.thread_id))

    async def refuse(
        self, send: Send, error: DockrionError, request: Request, headers: Headers | None = None
    ) -> None:
        """Answer with an error, as the protocol has them."""
        extra = [*request.answer_headers, *(headers or ()), *error_headers(error)]
        body = self.path.refusal(error)
        await send_json(send, error.status, body, request.request_id, extra)

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
        if isinstance(opened, Known):
            call.status, call.run_id = 200, opened.run_id
            headers = [(b"x-run-id", opened.run_id.encode()), *request.answer_headers]
            await send_json(send, 200, opened.body, request.request_id, headers)
            return
        call.run = opened.source
        if streams:
            more = self.stream_headers
            left = await stream(self.host, opened, request, receive, send, call=call, headers=more)
            if left and opened.left is not None:
                await opened.left()
        else:
            assert isinstance(opened.source, Run), "what is answered at once is not followed"
            assert isinstance(opened.wire, AnswerWire), "the protocol has such answers"
            await self._answer(opened.source, opened.wire, request, receive, send)

    async def _answer(
        self, run: Run, wire: AnswerWire, request: Request, receive: Receive, send: Send
    ) -> None:
        outcome = await read_to_end(self.host, run, receive, read=wire.encode)
        headers = [(b"x-run-id", run.run_id.encode())]
        match outcome:
            case Complete() | Interrupted():
                if isinstance(outcome, Interrupted):
                    wire.paused()
                headers += request.answer_headers
                await send_json(send, 200, wire.answer(), request.request_id, headers)
            case Failed(code=code, error=message, details=details):
                error = error_for(code, message, details=details)
                await self.refuse(send, error, request, [*headers, _NOT_AGAIN])
            case Cancelled() if outcome is not CALLER_LEFT:
                error = error_for("CONFLICT", f"The run was cancelled: {outcome.reason}")
                await self.refuse(send, error, request, [*headers, _NOT_AGAIN])
            case _:
                await answer_nobody(send)


class WiredEndpoint(RunEndpoint):
    """One for each path whose every `POST` is an invocation."""

    def __init__(self, host: AgentHost, path: WirePath) -> None:
        super().__init__(host, path)
        self._reader = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if scope["method"] != "POST":
            await self.refuse(send, wrong_method(request, ["POST"]), request, [(b"allow", b"POST")])
            return
        await self.serve(request, receive, send, self._open)

    async def _open(self, request: Request, receive: Receive) -> tuple[Told | Known, bool]:
        host = self.host
        identity = await let_in(host, request)
        heard = request.heard()
        if heard is not None:
            body = await request.body(receive, limit=host.spec.expose.limits.max_body_bytes)
            again = self._reader.read_again(_json_of(body))
            start = again.begins(heard.run_id) if isinstance(again, AnsweringCall) else 0
            first = start if start <= heard.events else 0
            place, waits = (heard.run_id, heard.events - 1), heard.waits
            reader = await go_on(host, place, identity=identity, first=first, waits=waits)
            thread_id = await thread_of(host, reader)
            wire = wire_of(again, reader, thread_id=thread_id)
            return Told(reader, wire, seen=heard.events, last=heard.last), True
        read: list[WireCall] = []

        def payload_of(body: Any) -> Payload:
            read.append(self._reader.read(body))
            return Payload(read[0].payload, is_input=read[0].is_input)

        call = await read_call(host, request, receive, identity=identity, read=payload_of)
        [asked] = read
        thread_id = call.thread_id or _checked(asked.thread_id)
        call = msgspec.structs.replace(call, thread_id=thread_id, needs_tokens=True)
        return await self.begin(asked, call), asked.streams


async def stream(
    host: AgentHost,
    told: Told,
    request: Request,
    receive: Receive,
    send: Send,
    *,
    call: Call | None = None,
    headers: Sequence[Header] = (),
    is_open: bool = False,
) -> bool:
    """Send the frames of a run as they come, and leave it; return whether the caller has left before.

    `is_open`: the answer has begun already.
    """
    source, wire = told.source, told.wire
    left = True
    writer: StreamWriter | HeldWriter | None = None
    try:
        connection = Connection(host, source, request.scope, receive)
        async with connection as open_stream:
            if not is_open:
                await start_stream(send, request, wire.content_type, source.run_id, headers)
                if told.seen == 0 and told.last is None and isinstance(wire, OpeningWire):
                    await _open(host, wire, open_stream, send)
            if call is not None:
                call.sent_status = 200
            send = past_head(send)
            if isinstance(source, Run):
                keep = None if host.answered is None else partial(keep_waiting, host)
                writer = StreamWriter(source, wire, open_stream, send, keep=keep)
            else:
                now = host.timestamps.now
                retold = Retold(source, wire, seen=told.seen, last=told.last, timestamps=now)
                writer = HeldWriter(source, retold, open_stream, send)
            connection.writer = writer
            await writer.write()
            if isinstance(source, Reader):
                left = source.gone
    finally:
        if writer is None or not writer.is_kept:
            source.leave()
    # Who goes with the last word has heard all.
    return left and not (isinstance(source, Reader) and source.ended)


async def _open(host: AgentHost, wire: OpeningWire, stream: OpenStream, send: Send) -> None:
    body = wire.opening(host.timestamps.now())
    if body:
        stream.sending()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        stream.sent()


def wire_of(asked: WireCall, source: Run | Reader, *, thread_id: str | None = None) -> Wire:
    """Return the wire of a run; it has cursors where its caller can come back with them."""
    run = WireRun(
        run_id=source.run_id,
        thread_id=thread_id,
        streams=asked.streams,
        cursors=isinstance(source, Reader),
    )
    with read_or_left(source):
        return asked.wire(run)


@contextmanager
def read_or_left(source: Run | Reader) -> Generator[None]:
    """Leave it where the block raises: nobody else would, and a run that nobody reads does not end."""
    try:
        yield
    except BaseException:
        source.leave()
        raise


async def thread_of(host: AgentHost, reader: Reader) -> str | None:
    """Return the thread of a run that its caller has come back to."""
    assert host.runs is not None, "it has given the reader"
    with read_or_left(reader):
        record = await host.runs.store.get(reader.run_id)
    return None if record is None else record.thread_id


def _checked(thread_id: str | None) -> str | None:
    if thread_id is not None and not is_thread_id(thread_id):
        raise ValidationError("The id of the conversation must be 1 to 256 printable characters.")
    return thread_id


def _json_of(body: bytes) -> Any:
    try:
        return decode_payload(body)
    except ValidationError:
        return None
