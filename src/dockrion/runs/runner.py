"""The runner: starts runs, and alone ends them."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from dockrion.adapters.base import Agent
from dockrion.errors import ConflictError, OverloadedError, ShuttingDownError
from dockrion.events.base import Stage
from dockrion.events.context import StreamContext, set_current_context
from dockrion.events.filter import EventsFilter
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.events.model import Answers, Failed
from dockrion.events.outbox import Outbox, stepping
from dockrion.policy.tools import ToolRules
from dockrion.runs.accepted import Accepted
from dockrion.runs.asks import RunAsks
from dockrion.runs.base import RunRules
from dockrion.runs.deadlines import PausableDeadlines
from dockrion.runs.drive import needs_loop, settle, settle_here
from dockrion.runs.ending import Raised, Returned
from dockrion.runs.log import Clock, UnkeptLog
from dockrion.runs.metering import RunMeter
from dockrion.runs.run import Run
from dockrion.runs.threads import WorkerThreads
from dockrion.runs.tools import RunTools
from dockrion.runs.turns import Turns
from dockrion.telemetry.base import Cause
from dockrion.telemetry.w3c import trace_id_of

logger = logging.getLogger(__name__)

SHUTTING_DOWN = Failed("The server is shutting down.", "SHUTTING_DOWN")
# What a slow reader gets to take its closing event.
LAST_WORD_SECONDS = 2.0
# Nobody reads events of an invocation that waits for its answer.
_SEND_NOTHING = EventsFilter("minimal")


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds the runs of one process; `max_concurrency` 0 is no bound."""

    max_seconds: float
    max_concurrency: int = 0
    max_queue: int = 1000


class Runner:
    """Starts runs of one agent. One for each app; used on its event loop."""

    def __init__(
        self,
        agent: Agent,
        rules: RunRules,
        *,
        threads: WorkerThreads,
        events_filter: EventsFilter,
        arguments: Mapping[str, Any],
        stages: Callable[[], Sequence[Stage]],
        timestamps: Clock,
        limits: RunLimits,
        tools: ToolRules | None = None,
    ) -> None:
        self._agent = agent
        self._rules = rules
        self._threads = threads
        self._filter = events_filter
        self._filter_with_tokens = EventsFilter(events_filter.allowed | {"token"})
        self._arguments = MappingProxyType(dict(arguments))
        self._stages = stages
        self._clock = timestamps
        self._tools = None if tools is None else RunTools(tools, rules.observer, self._halt)
        self._max_seconds = limits.max_seconds
        self._deadlines: PausableDeadlines[Run] = PausableDeadlines(
            limits.max_seconds, self._took_too_long
        )
        self._turns = Turns(limits.max_concurrency, limits.max_queue)
        self._active: dict[str, Run] = {}
        self._asks = RunAsks(self._active.get)
        self._tracer = None if rules.tracing is None else rules.tracing.tracer
        self._meter = RunMeter(self._active.get, rules.observer)
        # The agents' tasks: some outlive their run, when their code ignores a cancel.
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Event | None = None
        # Those of `_active` that have no thread yet.
        self._threadless: set[Run] = set()
        # Those of `_active` for which no caller waits: an executor takes no more of them than it may.
        self._patient: set[Run] = set()
        self._asking: set[Run] = set()
        self._draining = False

    @property
    def active(self) -> int:
        """Runs that have not ended, waiting ones included."""
        return len(self._active)

    @property
    def waiting(self) -> int:
        """Runs that have not begun: they wait for their turn, or for a thread."""
        return self._turns.waiting + len(self._threadless)

    @property
    def asking(self) -> int:
        """Runs whose code waits for an answer."""
        return len(self._asking)

    def start(
        self,
        payload: Any,
        *,
        run_id: str | None = None,
        thread_id: str | None = None,
        identity: Identity = ANONYMOUS,
        request_id: str | None = None,
        streams: bool,
        accepted: Accepted | None = None,
        can_ask: bool = True,
        cause: Cause = None,
        needs_tokens: bool = False,
    ) -> Run:
        """Start a run, whose one reader the caller is; it must read to the last batch, or `stop` it.

        `started` is there for the reader at once, before the agent does anything; a run that must wait for its
        turn, or for a thread, starts later. Raises `ShuttingDownError`, `ConflictError` for an id that is taken,
        and `OverloadedError` when too many wait or there can be no thread for it. An `accepted` run may always wait, and counts
        for nobody else unless it is direct.
        Without `can_ask`, nobody is there who could answer the agent's questions. `cause` is what it is traced to.
        With `needs_tokens`, its reader gets tokens whatever the Dockfile's filter says.
        """
        if accepted is None:
            self.refuse_if_full(run_id)
        elif self._draining:
            raise ShuttingDownError("The server is shutting down.")
        elif run_id in self._active:
            raise _taken(run_id)
        elif accepted.answers is not None:
            payload = Answers(accepted.answers)
        outbox = Outbox(asyncio.get_running_loop())
        context = StreamContext(
            run_id or new_run_id(),
            thread_id=thread_id,
            arguments=self._arguments,
            identity=identity,
            events_filter=self._filter_of(streams=streams, needs_tokens=needs_tokens),
            outbox=outbox,
            request_id=request_id,
            describe=self._rules.sentences.brief,
            tools=self._tools,
            asker=self._asks if can_ask else None,
            attempt=1 if accepted is None else accepted.attempt,
            trace_id=None if cause is None else trace_id_of(cause),
            tracer=self._tracer,
            meter=self._meter,
        )
        log = UnkeptLog(self._clock, 0 if accepted is None else accepted.first)
        run = Run(context, outbox, self._rules, self._stages(), log, self, accepted, cause)
        self._active[run.run_id] = run
        if accepted is not None and not accepted.direct:
            self._patient.add(run)
        launch = partial(self._launch, run, payload, streams=streams)
        if self._turns.take(run, partial(_launch_late, run, launch)):
            try:
                launch()
            except OverloadedError:
                self.ended(run)
                raise
        return run

    def _filter_of(self, *, streams: bool, needs_tokens: bool) -> EventsFilter:
        if not streams:
            return _SEND_NOTHING
        return self._filter_with_tokens if needs_tokens else self._filter

    def refuse_if_full(self, run_id: str | None) -> None:
        """Raise what `start` would raise now for a run with that id."""
        if self._draining:
            raise ShuttingDownError("The server is shutting down.")
        if run_id is not None and run_id in self._active:
            raise _taken(run_id)
        if not self._turns.free or (self._agent.in_thread and not self._threads.has_room):
            patient = sum(self._has_to_wait(run) for run in self._patient)
            self._turns.admit(self.waiting - patient)

    def _has_to_wait(self, run: Run) -> bool:
        return run in self._threadless or self._turns.holds(run)

    def has(self, run_id: str) -> bool:
        """Whether that run has not ended here."""
        return run_id in self._active

    def _launch(self, run: Run, payload: Any, *, streams: bool) -> None:
        if self._agent.in_thread:
            self._start_in_thread(run, payload, streams=streams)
            return
        run.begin(streams=streams)
        self._start_deadline(run)
        self._start_task(run, lambda: self._agent.call(payload, run.context, streams=streams))

    async def shutdown(
        self, grace_seconds: float, *, before_end: Callable[[], None] | None = None
    ) -> None:
        """Start nothing more; wait for the runs that are there, then end them with `SHUTTING_DOWN`.

        Those that wait for an answer, or ask from now on, end at once: nobody can give it here any more. `before_end` may end some of the
        others in another way. Returns when all have been read to their end, or their readers had `LAST_WORD_SECONDS` for it.
        """
        self._draining = True
        for run in list(self._active.values()):
            if run.is_waiting:
                run.stop(SHUTTING_DOWN)
        if not await self._idle_within(grace_seconds):
            if before_end is not None:
                before_end()
            self.stop_all()
            await self._idle_within(LAST_WORD_SECONDS)

    def stop_all(self) -> None:
        for run in list(self._active.values()):
            run.stop(SHUTTING_DOWN)

    async def _idle_within(self, seconds: float) -> bool:
        if not self._active:
            return True
        self._idle = self._idle or asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def _start_task(self, run: Run, call: Callable[[], Any]) -> asyncio.Task[None]:
        task = run.outbox.loop.create_task(self._drive(run, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        run.attach(task)
        return task

    def _start_made(self, run: Run, made: Any) -> None:
        task = self._start_task(run, lambda: made)
        if inspect.iscoroutine(made):
            # A task that is cancelled before its first step leaves the coroutine untouched.
            task.add_done_callback(lambda _: made.close())

    async def _drive(self, run: Run, call: Callable[[], Any]) -> None:
        set_current_context(run.context)
        if run.span is not None:
            run.span.enter()
        try:
            # The call itself may raise, and may compute: it too belongs to the agent.
            output = await stepping(run.outbox, settle(call, run.context, run.outbox))
            if run.takes_long_to_finish(output):
                run.conclude(await asyncio.to_thread(run.finished, output))
            else:
                run.conclude(Returned(output))
        except BaseException as exc:  # SystemExit too: one agent does not end the server
            run.conclude(Raised(exc))

    def _start_in_thread(self, run: Run, payload: Any, *, streams: bool) -> None:
        begun = self._threads.has_room
        if begun:
            run.begin(streams=streams)
            self._start_deadline(run)
        else:
            self._threadless.add(run)
        around = contextvars.copy_context()

        def job() -> None:
            if not run.ended:
                around.run(self._work, run, payload, streams=streams, begun=begun)

        try:
            run.attach(self._threads.start(job))
        except RuntimeError as exc:
            logger.error("no thread can be started for a run", exc_info=exc)
            raise OverloadedError(
                "The server cannot start another thread for the run; try again later."
            ) from exc

    def _work(self, run: Run, payload: Any, *, streams: bool, begun: bool) -> None:
        set_current_context(run.context)
        loop = run.outbox.loop
        try:
            if not begun:
                run.begin(streams=streams)
                if run.ended:
                    # Since the last look; whoever ended it may have seen that it had not begun.
                    return
                loop.call_soon_threadsafe(self._begun, run)
            if run.span is not None:
                run.span.enter()
            made = self._agent.call(payload, run.context, streams=streams)
            if needs_loop(made):
                # A plain function that gave a coroutine or an async generator.
                loop.call_soon_threadsafe(self._start_made, run, made)
                return
            value = settle_here(made, run.context, run.outbox)
            run.conclude(Returned(value) if value is None else run.finished(value))
        except BaseException as exc:
            run.conclude(Raised(exc))

    def _begun(self, run: Run) -> None:
        self._threadless.discard(run)
        self._start_deadline(run)

    def _start_deadline(self, run: Run) -> None:
        if not run.ended:
            self._deadlines.add(run)

    def _took_too_long(self, run: Run) -> None:
        run.stop(Failed(f"The run took longer than {self._max_seconds:g} s.", "TIMEOUT"))

    def _halt(self, run_id: str, terminal: Failed) -> None:
        run = self._active.get(run_id)
        if run is not None:
            run.halt(terminal)

    # What its runs tell

    def waits(self, run: Run) -> None:
        if self._draining:
            run.stop(SHUTTING_DOWN)
            return
        self._asking.add(run)
        self._deadlines.pause(run)
        self._turns.give_back(run)

    def goes_on(self, run: Run) -> None:
        self._asking.discard(run)
        self._deadlines.go_on(run)

    def ended(self, run: Run) -> None:
        self._active.pop(run.run_id, None)
        self._threadless.discard(run)
        self._patient.discard(run)
        self._asking.discard(run)
        self._deadlines.discard(run)
        self._turns.give_back(run)
        if self._idle is not None and not self._active:
            self._idle.set()


def _taken(run_id: str | None) -> ConflictError:
    return ConflictError(f"A run with the id {run_id!r} exists already.")


def _launch_late(run: Run, launch: Callable[[], None]) -> None:
    """Launch a run that has a reader already: what goes wrong is its ending."""
    try:
        launch()
    except OverloadedError as exc:
        run.stop(Failed(exc.message, exc.code))


def new_run_id() -> str:
    """Return a random UUID (version 4, RFC 9562), without the object that `uuid.uuid4` makes of it."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
