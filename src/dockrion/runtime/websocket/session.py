"""One connection whose caller is known: the messages that come in, and the runs that are open on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

from dockrion.errors import (
    ConflictError,
    DockrionError,
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
from dockrion.runtime.requests import Request, chosen_id, new_request_id
from dockrion.runtime.traffic import SOCKET_PATH
from dockrion.runtime.websocket import messages
from dockrion.runtime.websocket.caller import Caller
from dockrion.runtime.websocket.line import Line, RunSender
from dockrion.runtime.websocket.messages import (
    AnswerMessage,
    AuthenticateMessage,
    CancelMessage,
    FollowMessage,
    PingMessage,
    RunMessage,
    UnfollowMessage,
    UnreadableError,
)
from dockrion.runtime.websocket.open_runs import OpenRun, OpenRuns
from dockrion.runtime.writer import HeldWriter, NativeTelling, StreamWriter

MAX_STREAMS: Final = 256
# Cancels and answers at once; past it, the next message waits.
MAX_STEPS: Final = 64
GOING_AWAY: Final = 1001

Next = Callable[[], Awaitable[str | None]]


class CallRequest(Request):
    """What one message is as a request: the head is that of the handshake, the id its own."""

    __slots__ = ()

    def __init__(self, scope: Scope) -> None:
        super().__init__({**scope, "method": "GET"})
        self.request_id = new_request_id()


class Session:
    """`serve` returns when the connection has ended, and its runs with it, or as `on_disconnect` says."""

    def __init__(self, host: AgentHost, scope: Scope, line: Line, caller: Caller) -> None:
        self._host = host
        self._scope = scope
        self._line = line
        self._caller = caller
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
        try:
            asked = messages.read(text)
        except UnreadableError as exc:
            await self._line.say(messages.refused(exc.id, exc, request_id=new_request_id()))
            return
        match asked:
            case RunMessage():
                await self._begin(asked.id, self._run(asked))
            case FollowMessage():
                await self._begin(asked.id, self._follow(asked))
            case UnfollowMessage():
                await self._step(self._unfollow(asked))
            case CancelMessage():
                await self._step(self._cancel(asked))
            case AnswerMessage():
                await self._step(self._answer(asked))
            case AuthenticateMessage():
                # What comes after it is said by whoever this is.
                await self._authenticate(asked)
            case PingMessage():
                await self._line.say(messages.pong(asked.id))

    async def _begin(self, asked_id: str | None, work: Coroutine[Any, Any, None]) -> None:
        if self._streams >= MAX_STREAMS:
            work.close()
            error = OverloadedError(
                f"{self._streams} runs are open on this connection, as many as may be; open another."
            )
            await self._line.say(messages.refused(asked_id, error, request_id=new_request_id()))
            return
        self._streams += 1
        self._tasks.create_task(self._streamed(work))

    async def _streamed(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await _heard(work)
        finally:
            self._streams -= 1
            self._close_if_idle()

    async def _step(self, work: Coroutine[Any, Any, None]) -> None:
        await self._steps.acquire()
        task = self._tasks.create_task(_heard(work))
        task.add_done_callback(lambda _: self._steps.release())

    # Runs

    async def _run(self, asked: RunMessage) -> None:
        host, request = self._host, CallRequest(self._scope)
        with ExitStack() as until_told:
            with host.traffic.begin(SOCKET_PATH, request) as call:
                try:
                    source = call.run = await self._start(asked, request)
                except DockrionError as exc:
                    call.refused(exc)
                    await self._refuse(asked.id, exc, request)
                    return
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

    async def _follow(self, asked: FollowMessage) -> None:
        request, run_id = CallRequest(self._scope), asked.run_id
        if self._open.named(run_id):
            error = ConflictError(f"The run {run_id!r} is open on this connection already.")
            await self._refuse(asked.id, error, request, run_id)
            return
        with self._open.open(run_id) as run:
            try:
                record, reader = await self._place_in(run_id, asked.after)
            except DockrionError as exc:
                await self._refuse(asked.id, exc, request, run_id)
                return
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
            except DockrionError as exc:
                await self._refuse(None, exc, request, run.run_id)
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
        is_kept = False
        try:
            if request is not None:
                await self._accept(asked_id, source.run_id, status, request)
            wire = native_wire(host, source)
            async with Connection(host, source, self._scope, None) as stream:
                send = RunSender(self._line, stream).send
                if isinstance(source, Run):
                    keep = None if host.answered is None else partial(self._keep, run, waits_at)
                    writer = StreamWriter(source, wire, stream, send, keep=keep)
                    await writer.write()
                    is_kept = writer.is_kept
                else:
                    told = NativeTelling(source, wire)
                    await HeldWriter(source, told, stream, send).write()
                    if isinstance(source.outcome, Interrupted):
                        waits_at.append(source.position)
            if stream.gave_up:
                self._give_up()
        finally:
            run.source = None
            if not is_kept:
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

    async def _unfollow(self, asked: UnfollowMessage) -> None:
        runs = self._open.named(asked.run_id)
        if not runs:
            error = NotFoundError(f"The run {asked.run_id!r} is not open on this connection.")
            await self._refuse(asked.id, error, CallRequest(self._scope), asked.run_id)
            return
        for run in runs:
            run.leave()
            await run.is_over.wait()
        await self._line.say(messages.unfollowed(asked.id, run_id=asked.run_id))

    async def _cancel(self, asked: CancelMessage) -> None:
        request, run_id = CallRequest(self._scope), asked.run_id
        reason = asked.reason or CANCELLED_BY_CALLER
        try:
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
                runs = await runs_with(self._host, run_id)
                await cancel_run(runs, run_id, identity, reason)
        except DockrionError as exc:
            await self._refuse(asked.id, exc, request, run_id)
        else:
            await self._accept(asked.id, run_id, RunStatus.CANCELLED, request)

    def _unkept(self, run_id: str) -> Run | None:
        """Return a run of this connection that nobody else knows of."""
        sources = (one.source for one in self._open.named(run_id))
        return next((source for source in sources if isinstance(source, Run)), None)

    async def _answer(self, asked: AnswerMessage) -> None:
        host, request, run_id = self._host, CallRequest(self._scope), asked.run_id
        with host.traffic.begin(SOCKET_PATH, request) as call:
            try:
                identity = await self._caller.identify()
                if host.rates is not None:
                    await host.rates.admit(identity, request)
                if host.answered is None:
                    raise NotFoundError("Questions are not answered here (streaming.async_runs).")
                await answer_run(host, run_id, identity, asked.answer, request)
            except DockrionError as exc:
                call.refused(exc)
                await self._refuse(asked.id, exc, request, run_id)
                return
            call.status, call.run_id = 202, run_id
            await self._accept(asked.id, run_id, RunStatus.ACCEPTED, request)

    async def _authenticate(self, asked: AuthenticateMessage) -> None:
        request = CallRequest(self._scope)
        try:
            await self._caller.authenticate(asked)
        except DockrionError as exc:
            with self._host.traffic.begin(SOCKET_PATH, request) as call:
                call.refused(exc)
            await self._refuse(asked.id, exc, request)
        else:
            await self._line.say(messages.authenticated(asked.id))

    # Words

    async def _accept(
        self, asked_id: str | None, run_id: str, status: RunStatus, request: Request
    ) -> None:
        await self._line.say(
            messages.accepted(asked_id, run_id=run_id, status=status, request_id=request.request_id)
        )

    async def _refuse(
        self,
        asked_id: str | None,
        error: DockrionError,
        request: Request,
        run_id: str | None = None,
    ) -> None:
        await self._line.say(
            messages.refused(asked_id, error, request_id=request.request_id, run_id=run_id)
        )


async def _heard(work: Coroutine[Any, Any, None]) -> None:
    """Do it, for as long as there is somebody to hear of it."""
    with suppress(OSError):
        await work
