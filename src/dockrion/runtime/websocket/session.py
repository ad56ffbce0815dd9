"""One connection whose caller is known: the messages that come in, and the runs that are open on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from dockrion.errors import (
    ConflictError,
    GoneError,
    NotFoundError,
    OverloadedError,
    RunIsOverError,
)
from dockrion.events.model import Batch, Cancelled, Interrupted, RunStatus
from dockrion.runs.reader import Reader
from dockrion.runs.run import Run
from dockrion.runs.store.base import RunRecord
from dockrion.runtime.asgi import Scope
from dockrion.runtime.endpoints.connection import Connection, native_wire
from dockrion.runtime.endpoints.invoke import (
    Options,
    Payload,
    checked_call,
    keep_waiting,
    start_run,
)
from dockrion.runtime.endpoints.runs import (
    CANCELLED_BY_CALLER,
    answer_run,
    cancel_run,
    runs_with,
    unknown,
)
from dockrion.runtime.host import AgentHost
from dockrion.runtime.requests import Request, chosen_id
from dockrion.runtime.traffic import SOCKET_PATH
from dockrion.runtime.websocket import messages
from dockrion.runtime.websocket.caller import Caller
from dockrion.runtime.websocket.line import Line, RunSender
from dockrion.runtime.websocket.messages import (
    AnswerMessage,
    Asked,
    AuthenticateMessage,
    CancelMessage,
    FollowMessage,
    PingMessage,
    RunMessage,
    UnfollowMessage,
    UnreadableError,
)
from dockrion.runtime.websocket.open_runs import OpenRun, OpenRuns
from dockrion.runtime.websocket.refusals import CallRequest, Counts, Refusals
from dockrion.runtime.writer import HeldWriter, NativeTelling, StreamWriter

MAX_STREAMS: Final = 256
# Cancels and answers at once; past it, the next message waits.
MAX_STEPS: Final = 64
GOING_AWAY: Final = 1001

Next = Callable[[], Awaitable[str | None]]
AnyMessage = TypeVar("AnyMessage", bound=Asked)
Work: TypeAlias = Callable[[AnyMessage, Request], Awaitable[None]]


class Session:
    """`serve` returns when the connection has ended, and its runs with it, or as `on_disconnect` says."""

    def __init__(self, host: AgentHost, scope: Scope, line: Line, caller: Caller) -> None:
        self._host = host
        self._scope = scope
        self._line = line
        self._caller = caller
        self._refusals = Refusals(host, line)
        self._open = OpenRuns()
        self._streams = 0
        self._steps = asyncio.Semaphore(MAX_STEPS)
        self._tasks = asyncio.TaskGroup()
        self._serving: asyncio.Task[Any] | None = None
        self._gone = False
        self._is_given_up = False
        self._draining = False
        self._is_closing = False

    async def serve(self, next_text: Next) -> None:
        """Take messages until `next_text` gives none. To be called once."""
        self._serving = serving = asyncio.current_task()
        assert serving is not None, "the application runs in a task"
        try:
            async with self._tasks:
                self._host.sessions.add(self)
                if self._host.draining:
                    self.drain()
                try:
                    while (text := await next_text()) is not None:
                        await self._take(text)
                except OSError:
                    # Some servers say so when the caller has gone.
                    pass
                except asyncio.CancelledError:
                    if not self._is_given_up:
                        raise
                    serving.uncancel()
                finally:
                    self._leave()
        finally:
            self._host.sessions.discard(self)

    def drain(self) -> None:
        self._draining = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._draining and not (self._streams or self._gone or self._is_closing):
            self._is_closing = True
            self._tasks.create_task(_heard(self._line.close(GOING_AWAY)))

    def _leave(self) -> None:
        """Nobody is there any more."""
        self._gone = True
        self._open.leave()

    async def _take(self, text: str) -> None:
        request = CallRequest(self._scope)
        try:
            asked = messages.read(text)
        except Exception as exc:
            asked_id = exc.id if isinstance(exc, UnreadableError) else None
            await self._refusals.refuse(exc, request, Counts.IN_LOG, asked_id=asked_id)
            return
        match asked:
            case RunMessage():
                await self._begin(asked, self._run, request)
            case FollowMessage():
                await self._begin(asked, self._follow, request)
            case UnfollowMessage():
                await self._step(asked, self._unfollow, request)
            case CancelMessage():
                await self._step(asked, self._cancel, request)
            case AnswerMessage():
                await self._step(asked, self._answer, request)
            case AuthenticateMessage():
                # What comes after it is said by whoever this is.
                await self._do(asked, self._authenticate, request)
            case PingMessage():
                await self._line.say(messages.pong(asked.id))

    async def _begin(self, asked: AnyMessage, work: Work[AnyMessage], request: Request) -> None:
        if self._streams >= MAX_STREAMS:
            error = OverloadedError(
                f"{self._streams} runs are open on this connection, as many as may be; open another."
            )
            await self._refusals.before_work(error, asked, request)
            return
        self._streams += 1
        self._tasks.create_task(self._streamed(asked, work, request))

    async def _streamed(self, asked: AnyMessage, work: Work[AnyMessage], request: Request) -> None:
        try:
            await self._do(asked, work, request)
        finally:
            self._streams -= 1
            self._close_if_idle()

    async def _step(self, asked: AnyMessage, work: Work[AnyMessage], request: Request) -> None:
        await self._steps.acquire()
        task = self._tasks.create_task(self._do(asked, work, request))
        task.add_done_callback(lambda _: self._steps.release())

    async def _do(self, asked: AnyMessage, work: Work[AnyMessage], request: Request) -> None:
        """Do what a message asks for, or say why not, for as long as there is somebody to hear of it."""
        try:
            await work(asked, request)
        except Exception as exc:
            with suppress(OSError):
                await self._refusals.of_message(exc, asked, request)

    # Runs

    async def _run(self, asked: RunMessage, request: Request) -> None:
        with ExitStack() as until_told:
            with self._host.traffic.begin(SOCKET_PATH, request) as call:
                source = call.run = await self._start(asked, request)
                call.sent_status = 200
                run = until_told.enter_context(self._open.open(source.run_id))
                waits_at = await self._stream(run, source, asked.id, request, RunStatus.ACCEPTED)
            # Whoever asked for it is there for what follows its questions; that is another call, where they are answered.
            await self._follow_on(run, waits_at, request)

    async def _start(self, asked: RunMessage, request: Request) -> Run | Reader:
        host = self._host
        identity = await self._caller.identify()
        if host.rates is not None:
            await host.rates.admit(identity, request)
        run_id = chosen_id(asked.run_id, allowed=host.spec.streaming.allow_client_ids)
        payload = Payload(asked.payload, is_input=True)
        options = Options(run_id, asked.thread_id)
        call = await checked_call(host, request, payload, options, identity=identity)
        if host.kept is not None:
            return await host.kept.start_direct(call)
        return await start_run(host, call, streams=True)

    async def _follow(self, asked: FollowMessage, request: Request) -> None:
        run_id = asked.run_id
        if self._open.named(run_id):
            raise ConflictError(f"The run {run_id!r} is open on this connection already.")
        with self._open.open(run_id) as run:
            record, reader = await self._place_in(run_id, asked.after)
            if reader is None:
                # Its last event is known.
                await self._accept(asked.id, run_id, record.status, request)
                return
            waits_at = await self._stream(run, reader, asked.id, request, record.status)
            await self._follow_on(run, waits_at, request)

    async def _place_in(self, run_id: str, after: int) -> tuple[RunRecord, Reader | None]:
        """Return a run that is held, and a place in it behind an event; None behind its last one."""
        host = self._host
        identity = await self._caller.identify()
        if host.runs is None:
            raise unknown(run_id)
        runs = await runs_with(host, run_id)
        record = await runs.get(run_id, identity)
        if after >= record.end:
            raise GoneError(f"after: the run {run_id!r} has no event {after} (yet).")
        return record, await runs.follow_direct(run_id, identity, after=after)

    async def _follow_on(self, run: OpenRun, waits_at: int | None, request: Request) -> None:
        """Go on with a run that waits for answers, from that event on, whenever they come."""
        while waits_at is not None and not run.is_left:
            try:
                _, reader = await self._place_in(run.run_id, waits_at - 1)
            except Exception as exc:
                await self._refusals.refuse(exc, request, Counts.IN_LOG, run_id=run.run_id)
                return
            if reader is None:
                return
            waits_at = await self._stream(run, reader)

    async def _stream(
        self,
        run: OpenRun,
        source: Run | Reader,
        asked_id: str | None = None,
        request: Request | None = None,
        status: RunStatus = RunStatus.RUNNING,
    ) -> int | None:
        """Send the events of a run; return the sequence from which on it goes on once its questions are answered.

        With `request`, first say that it is accepted.
        """
        host = self._host
        run.read_from(source)
        waits_at: list[int] = []
        writer: StreamWriter | HeldWriter | None = None
        try:
            if request is not None:
                await self._accept(asked_id, source.run_id, status, request)
            wire = native_wire(host, source)
            scope = self._scope if request is None else request.scope
            connection = Connection(host, source, scope, None)
            async with connection as stream:
                send = RunSender(self._line, stream).send
                if isinstance(source, Run):
                    keep = None if host.answered is None else partial(self._keep, run, waits_at)
                    writer = StreamWriter(source, wire, stream, send, keep=keep)
                else:
                    told = NativeTelling(source, wire)
                    writer = HeldWriter(source, told, stream, send)
                connection.writer = writer
                await writer.write()
                if isinstance(source, Reader) and isinstance(source.outcome, Interrupted):
                    waits_at.append(source.position)
            if stream.gave_up:
                self._give_up()
        finally:
            run.source = None
            if writer is None or not writer.is_kept:
                source.leave()
        return waits_at[0] if waits_at else None

    async def _keep(self, run: OpenRun, waits_at: list[int], waiting: Run, batch: Batch) -> bool:
        # Whoever leaves from here on leaves a question, not a run.
        run.source = None
        is_kept = await keep_waiting(self._host, waiting, batch)
        if is_kept:
            waits_at.append(batch.first + len(batch.events))
        return is_kept

    def _give_up(self) -> None:
        """The caller takes nothing: let all of its connection go."""
        if not self._is_given_up and not self._gone and self._serving is not None:
            self._is_given_up = True
            self._line.drop()
            self._serving.cancel()

    # Steps

    async def _unfollow(self, asked: UnfollowMessage, _request: Request) -> None:
        runs = self._open.named(asked.run_id)
        if not runs:
            raise NotFoundError(f"The run {asked.run_id!r} is not open on this connection.")
        for run in runs:
            run.leave()
            await run.is_over.wait()
        await self._line.say(messages.unfollowed(asked.id, run_id=asked.run_id))

    async def _cancel(self, asked: CancelMessage, request: Request) -> None:
        run_id, reason = asked.run_id, asked.reason or CANCELLED_BY_CALLER
        identity = await self._caller.identify()
        run = self._unkept(run_id)
        if run is not None and identity.may_see_runs_of(run.context.identity):
            if run.ended:
                raise RunIsOverError(f"The run {run_id!r} has ended already.")
            # How it ends it says itself.
            run.stop(Cancelled(reason))
        elif self._host.runs is None:
            raise unknown(run_id)
        else:
            await cancel_run(await runs_with(self._host, run_id), run_id, identity, reason)
        await self._accept(asked.id, run_id, RunStatus.CANCELLED, request)

    def _unkept(self, run_id: str) -> Run | None:
        """Return a run of this connection that nobody else knows of."""
        sources = (one.source for one in self._open.named(run_id))
        return next((source for source in sources if isinstance(source, Run)), None)

    async def _answer(self, asked: AnswerMessage, request: Request) -> None:
        host, run_id = self._host, asked.run_id
        with host.traffic.begin(SOCKET_PATH, request) as call:
            identity = await self._caller.identify()
            if host.rates is not None:
                await host.rates.admit(identity, request)
            if host.answered is None:
                raise NotFoundError("Questions are not answered here (streaming.async_runs).")
            await answer_run(host, run_id, identity, asked.answer, request)
            call.status, call.run_id = 202, run_id
        await self._accept(asked.id, run_id, RunStatus.ACCEPTED, request)

    async def _authenticate(self, asked: AuthenticateMessage, _request: Request) -> None:
        await self._caller.authenticate(asked)
        await self._line.say(messages.authenticated(asked.id))

    # Words

    async def _accept(
        self, asked_id: str | None, run_id: str, status: RunStatus, request: Request
    ) -> None:
        await self._line.say(
            messages.accepted(asked_id, run_id=run_id, status=status, request_id=request.request_id)
        )


async def _heard(work: Coroutine[Any, Any, None]) -> None:
    """Do it, for as long as there is somebody to hear of it."""
    with suppress(OSError):
        await work
