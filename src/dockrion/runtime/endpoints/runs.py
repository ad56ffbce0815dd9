"""`/runs` and what is below it: runs that are started, looked at, answered and cancelled.

As the invocations do, they stand before the framework's own layers: a subscription may be idle for long.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from dockrion.errors import (
    ConflictError,
    DockrionError,
    NotFoundError,
    RunIsOverError,
)
from dockrion.events.identity import Identity
from dockrion.events.model import RunStatus
from dockrion.runs.log import Clock
from dockrion.runs.service import RunService
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import ASGIApp, Receive, Scope, Send
from dockrion.runtime.endpoints.invoke import answer_nobody, let_in, read_call, refuse_method
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import CallerLeftError, Request, decode_payload, is_run_id
from dockrion.runtime.responses import send_error, send_json
from dockrion.runtime.run_requests import RunsRequest

PATHS: Final = (
    "/runs",
    "/runs/{run_id}",
    "/runs/{run_id}/events",
    "/runs/{run_id}/resume",
)
CANCELLED_BY_CALLER: Final = "A caller cancelled the run."
_ONE: Final = re.compile(r"/runs/([^/]+)(/events|/resume)?")


class Reply(NamedTuple):
    status: int
    data: Any
    record: RunRecord | None = None
    location: str | None = None


class Asker(NamedTuple):
    """One request, on its way to an answer; `run_id` is the one in its path."""

    host: AgentHost
    request: RunsRequest
    receive: Receive
    run_id: str


Handler: TypeAlias = Callable[[Asker], Awaitable[Reply]]
Methods: TypeAlias = Mapping[str, Handler]
Subscribe: TypeAlias = Callable[[AgentHost, str, Scope, Receive, Send], Awaitable[None]]


class RunsPaths:
    """Finds what answers a path; `subscribe` answers those of events."""

    def __init__(self, host: AgentHost, subscribe: Subscribe) -> None:
        self._host = host
        self._subscribe = subscribe

    def find(self, path: str) -> ASGIApp | None:
        if path == "/runs":
            return partial(_answer, self._host, "", "/runs", _MANY)
        found = _ONE.fullmatch(path)
        if found is None:
            return None
        run_id, part = found.groups()
        if part == "/events":
            return partial(self._subscribe, self._host, run_id)
        if part == "/resume":
            return partial(_answer, self._host, run_id, "/runs/{run_id}/resume", _RESUME)
        return partial(_answer, self._host, run_id, "/runs/{run_id}", _ONE_RUN)


async def _answer(
    host: AgentHost,
    run_id: str,
    label: str,
    methods: Methods,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    request = RunsRequest(scope)
    handler = methods.get(scope["method"])
    if handler is None:
        await refuse_method(send, request, takes=tuple(methods))
        return
    asker = Asker(host, request, receive, run_id)
    if scope["method"] != "POST":
        await _reply(handler, asker, send)
        return
    # Only what starts a run, or lets one go on, is an invocation.
    with host.traffic.begin(label, request) as call:
        answered = await _reply(handler, asker, send)
        match answered:
            case Reply(status=status, record=record):
                call.status = status
                call.run_id = None if record is None else record.run_id
            case DockrionError():
                call.refused(answered)
            case None:
                call.left()


async def _reply(handler: Handler, asker: Asker, send: Send) -> Reply | DockrionError | None:
    """Answer; return with what, or None when the caller has gone."""
    request = asker.request
    try:
        reply = await handler(asker)
    except CallerLeftError:
        await answer_nobody(send)
        return None
    except DockrionError as exc:
        headers = [*request.answer_headers]
        if asker.run_id and isinstance(exc, ConflictError):
            headers.append((b"x-run-id", asker.run_id.encode()))
        await send_error(send, exc, request.request_id, headers)
        return exc
    headers = [*request.answer_headers]
    if reply.record is not None:
        headers.append((b"x-run-id", reply.record.run_id.encode()))
    if reply.location is not None:
        headers.append((b"location", reply.location.encode()))
    await send_json(send, reply.status, reply.data, request.request_id, headers)
    return reply


async def runs_of(host: AgentHost) -> RunService:
    """Return what keeps the runs, once it does; raise `ServiceUnavailableError` where the app does not start."""
    if host.runner is None:
        await host.wait_for_runner()
    assert host.runs is not None, "there is one where the paths are"
    return host.runs


def unknown(run_id: str) -> NotFoundError:
    return NotFoundError(f"There is no run {run_id[:128]!r}.")


async def _create(asker: Asker) -> Reply:
    host, request = asker.host, asker.request
    identity = await let_in(host, request)
    key = request.idempotency_key()
    call = await read_call(host, request, asker.receive, identity=identity)
    record, is_new = await (await runs_of(host)).create(call, idempotency_key=key)
    if is_new:
        return _accepted(asker, record)
    return _started(asker, record, 200, record.status)


async def _list(asker: Asker) -> Reply:
    host, request = asker.host, asker.request
    identity = await host.gate.identify(request.scope)
    limit, cursor, status = request.limit(), request.cursor(), request.status()
    page = await (await runs_of(host)).list(identity, status=status, cursor=cursor, limit=limit)
    runs = [_described(host, record) for record in page.records]
    return Reply(200, {"runs": runs, "next_cursor": page.next_cursor})


async def _get(asker: Asker) -> Reply:
    host = asker.host
    identity = await host.gate.identify(asker.request.scope)
    record = await (await _runs_with(asker)).get(asker.run_id, identity)
    return Reply(200, _described(host, record), record)


async def _cancel(asker: Asker) -> Reply:
    identity = await asker.host.gate.identify(asker.request.scope)
    reason = asker.request.reason() or CANCELLED_BY_CALLER
    record = await cancel_run(await _runs_with(asker), asker.run_id, identity, reason)
    # It ends so whatever happens, if it has not yet.
    return Reply(200, {"run_id": record.run_id, "status": RunStatus.CANCELLED}, record)


async def _resume(asker: Asker) -> Reply:
    host, request = asker.host, asker.request
    identity = await let_in(host, request)
    request.check_media_type(request.scope["path"])
    body = await request.body(asker.receive, limit=host.spec.expose.limits.max_body_bytes)
    answer = decode_payload(body, wanted="the answer")
    resumed = await answer_run(host, asker.run_id, identity, answer, request)
    return _accepted(asker, resumed)


async def cancel_run(runs: RunService, run_id: str, identity: Identity, reason: str) -> RunRecord:
    try:
        return await runs.cancel(run_id, identity, reason)
    except ConflictError as exc:
        raise RunIsOverError(exc.message) from exc


async def answer_run(
    host: AgentHost, run_id: str, identity: Identity, answer: Any, request: Request
) -> RunRecord:
    """Let a run that waits go on with an answer, once that has been looked at."""
    runs = await runs_with(host, run_id)
    if host.injection is not None:
        await host.check_injection(answer, request_id=request.request_id.decode("latin-1"))
    return await runs.resume(run_id, identity, answer, cause=request.cause)


async def runs_with(host: AgentHost, run_id: str) -> RunService:
    """Return what keeps a run, if anything can; raise `NotFoundError` for what is no id of one."""
    if not is_run_id(run_id):
        raise unknown(run_id)
    return await runs_of(host)


async def _runs_with(asker: Asker) -> RunService:
    return await runs_with(asker.host, asker.run_id)


def _accepted(asker: Asker, record: RunRecord) -> Reply:
    return _started(asker, record, 202, RunStatus.ACCEPTED)


def _started(asker: Asker, record: RunRecord, code: int, status: RunStatus) -> Reply:
    # As the caller knows it: with the prefix that a proxy may have taken off.
    location = f"{asker.request.scope.get('root_path', '')}/runs/{record.run_id}"
    data = {
        "run_id": record.run_id,
        "status": status,
        "events_url": f"{location}/events",
        "created_at": _TIMES.text_of(record.created_at),
    }
    return Reply(code, data, record, location)


class _Result(msgspec.Struct):
    """What a run ended with; an output is passed on as the bytes that it was kept as."""

    metadata: dict[str, Any] = {}
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def _described(host: AgentHost, record: RunRecord) -> dict[str, Any]:
    data: dict[str, Any] = {
        "run_id": record.run_id,
        "status": record.status,
        "created_at": _TIMES.text_of(record.created_at),
        "started_at": _time(record.started_at),
        "finished_at": _time(record.finished_at),
    }
    agent = host.spec.agent
    metadata = {"agent": agent.name, "framework": agent.framework, "run_id": record.run_id}
    if record.result is not None:
        result = _results.decode(record.result)
        metadata |= result.metadata
        if result.error is not msgspec.UNSET:
            data["error"] = result.error
        elif result.output is not msgspec.UNSET:
            data["output"] = result.output
    if record.status is RunStatus.INTERRUPTED:
        data["interrupts"] = [
            {"interrupt_id": one.interrupt_id, "value": one.value} for one in record.questions
        ]
    data["metadata"] = metadata
    return data


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else _TIMES.text_of(seconds)


_TIMES: Final = Clock()
_results: Final = msgspec.json.Decoder(_Result)

_MANY: Final[Methods] = {"GET": _list, "HEAD": _list, "POST": _create}
_ONE_RUN: Final[Methods] = {"GET": _get, "HEAD": _get, "DELETE": _cancel}
_RESUME: Final[Methods] = {"POST": _resume}
