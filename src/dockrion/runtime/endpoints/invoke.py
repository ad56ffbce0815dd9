"""`POST /invoke` and `POST /invoke/stream`.

They stand before the framework's own layers (its send wrappers cost memory for each idle stream and time for
each request), but inside any middleware that the user adds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from dockrion.errors import DockrionError, GoneError, MethodNotAllowedError, error_for
from dockrion.events.identity import Identity
from dockrion.events.model import (
    Batch,
    Cancelled,
    Complete,
    Failed,
    Interrupted,
    Outcome,
    RunStatus,
)
from dockrion.runs.call import RunCall
from dockrion.runs.ending import CALLER_LEFT, INTERNAL
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runs.schema import check_payload
from dockrion.runtime.asgi import Receive, Scope, Send
from dockrion.runtime.endpoints.connection import Connection, native_wire
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import CallerLeftError, Request, decode_payload
from dockrion.runtime.responses import send_error, send_json, start_stream
from dockrion.runtime.traffic import CALLER_LEFT_STATUS
from dockrion.runtime.unforeseen import past_head
from dockrion.runtime.writer import UNKEPT, HeldWriter, NativeTelling, StreamWriter

logger = logging.getLogger(__name__)


class InvokeEndpoint:
    """Runs the agent, waits, answers with JSON."""

    def __init__(self, host: AgentHost) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if scope["method"] != "POST":
            await refuse_method(send, request)
            return
        with self._host.traffic.begin("/invoke", request) as call:
            try:
                identity = await let_in(self._host, request)
                asked = await read_call(self._host, request, receive, identity=identity)
                run = call.run = await start_run(self._host, asked, streams=False)
            except CallerLeftError:
                call.left()
                await answer_nobody(send)
                return
            except DockrionError as exc:
                call.refused(exc)
                await send_error(send, exc, request.request_id, request.answer_headers)
                return
            await self._answer(run, request, receive, send)

    async def _answer(self, run: Run, request: Request, receive: Receive, send: Send) -> None:
        outcome = await read_to_end(self._host, run, receive)
        headers = [(b"x-run-id", run.run_id.encode()), *request.answer_headers]
        match outcome:
            case Complete(output=output, metadata=metadata):
                data = {"success": True, "output": output, "metadata": metadata}
                await send_json(send, 200, data, request.request_id, headers)
            case Failed(code=code, error=message, details=details):
                error = error_for(code, message, details=details)
                await send_error(send, error, request.request_id, headers)
            case Interrupted(interrupts=interrupts):
                data = {
                    "success": True,
                    "status": RunStatus.INTERRUPTED,
                    "interrupts": [
                        {"interrupt_id": one.interrupt_id, "value": one.value} for one in interrupts
                    ],
                    "metadata": run.metadata(),
                }
                await send_json(send, 202, data, request.request_id, headers)
            case Cancelled() if outcome is not CALLER_LEFT:
                error = error_for("CONFLICT", f"The run was cancelled: {outcome.reason}")
                await send_error(send, error, request.request_id, headers)
            case _:
                await answer_nobody(send)


async def invoke_agent_stream(host: AgentHost, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the agent and send its events as they come.

    Everything that can be refused is refused before the stream opens; after that the stream always ends with
    exactly one terminal event, or with the caller gone.
    """
    request = Request(scope)
    if scope["method"] != "POST":
        await refuse_method(send, request)
        return
    with host.traffic.begin("/invoke/stream", request) as call:
        try:
            source = call.run = await _open(host, request, receive)
        except CallerLeftError:
            call.left()
            await answer_nobody(send)
            return
        except SeenAllError as exc:
            call.status = 204
            call.run_id = exc.run_id
            await answer_nothing(send, request, exc.run_id)
            return
        except DockrionError as exc:
            call.refused(exc)
            await send_error(send, exc, request.request_id, request.answer_headers)
            return
        wire = native_wire(host, source)
        writer: StreamWriter | HeldWriter | None = None
        try:
            connection = Connection(host, source, scope, receive)
            async with connection as stream:
                await start_stream(send, request, wire.content_type, source.run_id)
                call.sent_status = 200
                del request
                send = past_head(send)
                if isinstance(source, Run):
                    keep = None if host.answered is None else partial(keep_waiting, host)
                    writer = StreamWriter(source, wire, stream, send, keep=keep)
                else:
                    told = NativeTelling(source, wire)
                    writer = HeldWriter(source, told, stream, send)
                connection.writer = writer
                await writer.write()
        finally:
            if writer is None or not writer.is_kept:
                source.leave()


async def read_to_end(
    host: AgentHost,
    run: Run,
    receive: Receive,
    *,
    read: Callable[[Batch], object] | None = None,
) -> Outcome | None:
    """Read a run whose caller waits for its answer; return how it ended, which may be that it waits. `read` gets each batch."""
    clock = host.streams
    clock.watch(run, receive)
    is_kept = False
    try:
        while True:
            batch = await run.next()
            if batch is None:
                continue
            if read is not None:
                read(batch)
            if batch.is_last:
                break
        outcome = run.outcome
        if host.answered is not None and isinstance(outcome, Interrupted):
            is_kept = await keep_waiting(host, run, batch)
            if not is_kept:
                outcome = UNKEPT
        return outcome
    except Exception:
        run.break_off(INTERNAL)
        raise
    finally:
        clock.unwatch(run)
        if not is_kept:
            run.leave()


async def keep_waiting(host: AgentHost, run: Run, batch: Batch) -> bool:
    """Keep a run that waits for answers; false when that cannot be, so that it ends with its request."""
    assert host.answered is not None
    # Whoever leaves from here on leaves a question, not a run.
    host.streams.unwatch(run)
    try:
        await host.answered.park(run, batch)
    except DockrionError as exc:
        logger.error(
            "a run that waits cannot be kept: %s", exc.message, extra={"run_id": run.run_id}
        )
        return False
    return True


async def _open(host: AgentHost, request: Request, receive: Receive) -> Run | Reader:
    """Return what to stream from: a run of the caller's own, or a place in one that is held."""
    identity = await let_in(host, request)
    last_event = request.last_event()
    if last_event is not None:
        # It is no matter what the body says, but the connection is for the next request too.
        await request.body(receive, limit=host.spec.expose.limits.max_body_bytes)
        return await go_on(host, last_event, identity=identity)
    call = await read_call(host, request, receive, identity=identity)
    if host.kept is not None:
        return await host.kept.start_direct(call)
    return await start_run(host, call, streams=True)


async def go_on(
    host: AgentHost,
    last_event: tuple[str, int],
    *,
    identity: Identity,
    first: int | None = None,
    waits: bool = True,
) -> Reader:
    """Return a place in a held run, for a caller who comes back to it. Raises `SeenAllError`, `GoneError`.

    `waits`: questions that come right after the last event that it has are no end to it.
    """
    run_id, sequence = last_event
    if host.runs is None:
        raise GoneError(f"The run {run_id!r} is not held here (any more).")
    reader = await host.runs.follow_direct(
        run_id, identity, after=sequence, first=first, waits=waits
    )
    if reader is None:
        raise SeenAllError(run_id)
    return reader


class SeenAllError(Exception):
    """The caller has seen the last event of the run already."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class Payload(NamedTuple):
    """What an agent gets: its input, or, of a run that goes on, the answers to its questions."""

    value: Any
    is_input: bool


class Options(NamedTuple):
    """What a head says of the run that is asked for."""

    run_id: str | None
    thread_id: str | None


async def let_in(host: AgentHost, request: Request) -> Identity:
    """Return who calls, and count the call: before anything is read for it."""
    identity = await host.gate.identify(request.scope)
    if host.rates is not None:
        await host.rates.admit(identity, request)
    return identity


async def read_call(
    host: AgentHost,
    request: Request,
    receive: Receive,
    *,
    identity: Identity,
    read: Callable[[Any], Payload] | None = None,
) -> RunCall:
    """Read and check what one invocation asks for; the agent is there then.

    `read` finds the payload in a body that is none itself, and raises `ValidationError`.
    """
    request.check_media_type(request.scope["path"])
    options = options_of(host, request)
    body = await request.body(receive, limit=host.spec.expose.limits.max_body_bytes)
    payload = Payload(decode_payload(body), is_input=True)
    if read is not None:
        payload = read(payload.value)
    return await checked_call(host, request, payload, options, identity=identity)


def options_of(host: AgentHost, request: Request) -> Options:
    run_id = request.run_id(allowed=host.spec.streaming.allow_client_ids)
    return Options(run_id, request.thread_id())


async def checked_call(
    host: AgentHost, request: Request, asked: Payload, options: Options, *, identity: Identity
) -> RunCall:
    """Check what an agent would get; the agent is there then."""
    payload, is_input = asked
    run_id, thread_id = options
    if is_input:
        check_payload(host.input_schema, payload)
    if host.runner is None:
        await host.wait_for_runner()
    request_id = request.request_id.decode("latin-1")
    if host.injection is not None:
        await host.check_injection(payload, request_id=request_id)
    if run_id is None and host.ids is not None:
        run_id = await host.own_id()
    return RunCall(payload, run_id, thread_id, identity, request_id, request.cause)


async def start_run(host: AgentHost, call: RunCall, *, streams: bool) -> Run:
    """Start a run that nobody keeps."""
    runner = host.runner or await host.wait_for_runner()
    if call.run_id is not None and host.runs is not None:
        await host.runs.refuse_known(call.run_id)
    return runner.start(
        call.payload,
        run_id=call.run_id,
        thread_id=call.thread_id,
        identity=call.identity,
        request_id=call.request_id,
        streams=streams,
        cause=call.cause,
        needs_tokens=call.needs_tokens,
    )


async def refuse_method(send: Send, request: Request, *, takes: Sequence[str] = ("POST",)) -> None:
    """Answer a request with a method that its path does not take."""
    error = wrong_method(request, takes)
    await send_error(send, error, request.request_id, [(b"allow", ", ".join(takes).encode())])


def wrong_method(request: Request, takes: Sequence[str]) -> MethodNotAllowedError:
    path, method = request.scope["path"], request.scope["method"]
    *others, last = takes
    named = f"{', '.join(others)} and {last}" if others else last
    return MethodNotAllowedError(f"{path} takes {named}, not {method}.")


async def answer_nobody(send: Send) -> None:
    """Answer a caller who has gone: nobody sees it, but middleware of the user may take no answer for a bug."""
    headers = [(b"content-length", b"0")]
    with suppress(OSError):
        await send(
            {"type": "http.response.start", "status": CALLER_LEFT_STATUS, "headers": headers}
        )
        await send({"type": "http.response.body", "body": b""})


async def answer_nothing(send: Send, request: Request, run_id: str | None = None) -> None:
    headers = [
        *([] if run_id is None else [(b"x-run-id", run_id.encode())]),
        (b"x-request-id", request.request_id),
        *request.answer_headers,
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
