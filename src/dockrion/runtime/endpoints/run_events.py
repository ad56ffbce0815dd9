"""`GET /runs/{run_id}/events`: the events of a run, from any of them on, for as many as want to read them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from dockrion.errors import DockrionError, GoneError, ShuttingDownError, TooManySubscribersError
from dockrion.events.sse import RETRY
from dockrion.runs.reader import Reader
from dockrion.runtime.asgi import Receive, Scope, Send
from dockrion.runtime.endpoints.connection import Connection, native_wire
from dockrion.runtime.endpoints.invoke import SeenAllError, answer_nothing, refuse_method
from dockrion.runtime.endpoints.runs import runs_of, unknown
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import is_run_id
from dockrion.runtime.responses import send_error, start_stream
from dockrion.runtime.run_requests import RunsRequest
from dockrion.runtime.unforeseen import past_head
from dockrion.runtime.writer import HeldWriter, NativeTelling
from dockrion.wires.native import NativeWire


class _Opened(NamedTuple):
    reader: Reader
    seconds: float


async def follow_run(
    host: AgentHost, run_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Send what is kept of a run and what is still to come; whoever leaves does not end it.

    While the server shuts down, the answer is a stream that ends at once: a browser comes back to it, and not to a 503.
    """
    request = RunsRequest(scope)
    if scope["method"] not in ("GET", "HEAD"):
        await refuse_method(send, request, takes=("GET", "HEAD"))
        return
    try:
        opened = await _open(host, run_id, request)
    except SeenAllError:
        await answer_nothing(send, request, run_id)
    except ShuttingDownError:
        await start_stream(send, request, NativeWire.content_type, run_id)
        await send({"type": "http.response.body", "body": b""})
    except DockrionError as exc:
        headers = [*request.answer_headers]
        if isinstance(exc, GoneError | TooManySubscribersError):
            headers.append((b"x-run-id", run_id.encode()))
        await send_error(send, exc, request.request_id, headers)
    else:
        await _write(host, opened, request, receive, send)


async def _open(host: AgentHost, run_id: str, request: RunsRequest) -> _Opened:
    identity, cookie = await host.gate.identify_reader(request.scope)
    if cookie is not None:
        request.answer_headers = (cookie,)
    if not is_run_id(run_id):
        raise unknown(run_id)
    seconds = request.timeout(host.spec.streaming.connection.default_timeout)
    start, said_by = request.start(run_id)
    runs = await runs_of(host)
    record = await runs.get(run_id, identity)
    if start > record.end:
        raise GoneError(f"{said_by}: the run {run_id!r} has no event {start - 1} (yet).")
    if start == record.end and record.is_final:
        raise SeenAllError(run_id)
    return _Opened(await runs.follow(record, start=start), seconds)


async def _write(
    host: AgentHost, opened: _Opened, request: RunsRequest, receive: Receive, send: Send
) -> None:
    reader = opened.reader
    wire = native_wire(host, reader)
    timer: asyncio.TimerHandle | None = None
    try:
        connection = Connection(host, reader, request.scope, receive)
        async with connection as stream:
            await start_stream(send, request, wire.content_type, reader.run_id)
            if request.scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
                return
            del request
            told = NativeTelling(reader, wire, opening=RETRY)
            timer = asyncio.get_running_loop().call_later(opened.seconds, told.time_out)
            writer = connection.writer = HeldWriter(reader, told, stream, past_head(send))
            await writer.write()
    finally:
        if timer is not None:
            timer.cancel()
        reader.leave()
