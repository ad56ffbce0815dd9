"""Runs that are kept, as those see them who start, read, answer and cancel them: the one way in for endpoints."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from dockrion.errors import (
    ConflictError,
    DockrionError,
    GoneError,
    NotFoundError,
    ShuttingDownError,
    ValidationError,
)
from dockrion.events.identity import SEES_ALL_RUNS, Identity
from dockrion.events.model import Batch, Cancelled, RunStatus
from dockrion.runs.accepted import Accepted
from dockrion.runs.call import RunCall, new_run
from dockrion.runs.channel import Channels
from dockrion.runs.dispatch.base import Dispatcher
from dockrion.runs.executor import Executor
from dockrion.runs.kept import entries_of
from dockrion.runs.pump import questions_of
from dockrion.runs.reader import Reader
from dockrion.runs.reaper import Reaper
from dockrion.runs.run import Run
from dockrion.runs.runner import Runner
from dockrion.runs.settling import settle
from dockrion.runs.store.base import (
    Question,
    RunPage,
    RunRecord,
    RunStore,
    StoreError,
)
from dockrion.runs.windows import Windows
from dockrion.telemetry.base import Cause, going_on

logger = logging.getLogger(__name__)

# How long a cancel waits for the run to have ended before it is answered; it will have, in any case.
CANCEL_SECONDS: Final = 1.0


class ServiceRules(msgspec.Struct, frozen=True, kw_only=True):
    """`window_seconds`: how long a direct run goes on without a follower; None: to its end.

    `concurrency` async runs are executed at once in this process; 0 executes none.
    """

    window_seconds: float | None
    concurrency: int


class RunService:
    """One for each app, from `open` to `close`. `timestamps` gives the time of events, `redact` what may leave of a
    caller's text.

    Runs are there for the identity that made them, and for one that may see all; for others they are unknown.
    """

    def __init__(
        self,
        store: RunStore,
        dispatcher: Dispatcher,
        channels: Channels,
        rules: ServiceRules,
        timestamps: Callable[[], str],
        redact: Callable[[str], str],
    ) -> None:
        self.store: Final = store
        self.rules: Final = rules
        self.channels: Final = channels
        self._dispatcher = dispatcher
        self._timestamps = timestamps
        self._redact = redact
        self._executor: Executor | None = None
        self._runner: Runner | None = None
        self._reaper = Reaper(store, dispatcher, timestamps, self._is_here, channels.observer)
        self._windows = Windows(store, channels, rules.window_seconds)
        self._draining = False
        # Hears of orders for runs that are not pumped here: those that nobody keeps, and those of others.
        self.unkept: Callable[[str], None] | None = None

    # Its life

    async def open(self) -> None:
        """Connect; raise what `RunStore.open` raises."""
        await self.store.open()
        await self._dispatcher.open()

    async def work(self, runner: Runner) -> None:
        """The agent is there: look after runs, and execute those that wait, where the rules say so."""
        self._runner = runner
        self._executor = Executor(
            self.store, self.channels, runner, self._timestamps, self._to_others, self.unkept
        )
        self._windows.begin(self._executor)
        await self._executor.open()
        self._reaper.start()
        if self.rules.concurrency:
            self._dispatcher.work(self._executor.execute, self.rules.concurrency)

    def rest(self) -> None:
        """Take nothing more, and hand back what has not begun; what is executed goes on."""
        self._draining = True
        self._dispatcher.rest()
        if self._executor is not None:
            self._executor.rest()

    def hand_back(self) -> None:
        """Give to others what they may begin again."""
        if self._executor is not None:
            self._executor.hand_back()

    async def idle_within(self, seconds: float) -> None:
        """Wait until the last events of runs that have ended here are stored, but no longer than so."""
        if self._executor is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._executor.idle()

    async def close(self) -> None:
        self.rest()
        await self._dispatcher.close()
        if self._executor is not None:
            await self._executor.close()
        await self._reaper.close()
        self._windows.close()
        self.channels.close()
        await self.store.close()

    # Async runs

    async def create(
        self, call: RunCall, *, idempotency_key: str | None = None
    ) -> tuple[RunRecord, bool]:
        """Accept a run, or return the one that the same request has made, and whether it is new.

        Raises `ConflictError` when the id or the key was used for something else, or by somebody else.
        """
        if self._draining:
            raise ShuttingDownError("The server is shutting down.")
        if call.run_id is not None and self._runs_unkept(call.run_id):
            raise _taken(call.run_id)
        new = new_run(call, idempotency_key=idempotency_key)
        created = await self.store.create(new)
        record = created.record
        if not created.is_new:
            if record.owner.id != call.identity.id or record.fingerprint != new.fingerprint:
                raise _taken(call.run_id) if idempotency_key is None else _key_taken()
            return record, False
        await self._submit(record)
        return record, True

    async def get(self, run_id: str, identity: Identity) -> RunRecord:
        record = await self.store.get(run_id)
        if record is None or not identity.may_see_runs_of(record.owner):
            raise NotFoundError(f"There is no run {run_id!r}.")
        return record

    async def list(
        self, identity: Identity, *, status: RunStatus | None, cursor: str | None, limit: int
    ) -> RunPage:
        owner_id = None if SEES_ALL_RUNS in identity.permissions else identity.id
        return await self.store.list(owner_id=owner_id, status=status, cursor=cursor, limit=limit)

    async def going_on_in(self, thread_id: str, identity: Identity) -> RunRecord | None:
        """Return the caller's own newest run in a thread, unless it has ended or its first events are kept no more."""
        record = await self.store.newest_in(thread_id, owner_id=identity.id)
        return None if record is None or record.is_final or record.first > 0 else record

    async def follow(
        self,
        record: RunRecord,
        *,
        start: int,
        seen: int | None = None,
        stops_at_questions: bool = False,
    ) -> Reader:
        """Follow a run that `get` has given from sequence `start` on, to its end; with `seen` and `stops_at_questions`, as
        `Channels.follow` does. Whoever follows keeps the run's window open, wherever it is executed.
        """
        await self._windows.read_here(record)
        return self.channels.follow(
            record.run_id, start, seen=seen, stops_at_questions=stops_at_questions
        )

    async def cancel(self, run_id: str, identity: Identity, reason: str) -> RunRecord:
        """End a run as CANCELLED: it is, or nothing else can become of it. Raises `ConflictError` when it had ended."""
        await self.get(run_id, identity)
        # Before it is stored: it may become the last event on many ways, and some pass no stage.
        reason = self._redact(reason)
        while True:
            record = await self.store.ask_cancel(run_id, reason)
            if record is None:
                raise NotFoundError(f"There is no run {run_id!r}.")
            if record.is_final:
                raise ConflictError(f"The run {run_id!r} has ended already: {record.status}.")
            if record.claimed and record.cancel_reason is not None:
                return await self._ended_soon(record)
            cancelled = Cancelled(record.cancel_reason or reason)
            now, observer = self._timestamps(), self.channels.observer
            if await settle(self.store, record, cancelled, now, observer):
                return (await self.store.get(run_id)) or record

    async def resume(
        self, run_id: str, identity: Identity, answer: Any, *, cause: Cause = None
    ) -> RunRecord:
        """Answer what a run waits for: `answer` itself, or a mapping where there are several questions.

        `cause` is what its next part is traced to.
        """
        if self._draining:
            raise ShuttingDownError("The server is shutting down.")
        answers: dict[str, Any] | None = None
        resumed: RunRecord | None = None
        while resumed is None:
            record = await self.get(run_id, identity)
            if record.status is not RunStatus.INTERRUPTED or not record.questions:
                raise ConflictError(
                    f"The run {run_id!r} does not wait for an answer: {record.status}."
                )
            if answers is None:
                answers = _answers(record.questions, answer)
            elif not answers.keys() <= {asked.interrupt_id for asked in record.questions}:
                # What it asks by now was not the question.
                raise ConflictError(f"The run {run_id!r} does not wait for that answer any more.")
            still = [asked for asked in record.questions if asked.interrupt_id not in answers]
            trace = going_on(cause, record.trace)
            resumed = await self.store.resume(run_id, answers, still=still, trace=trace)
        if resumed.status is RunStatus.ACCEPTED:
            await self._submit(resumed)
        return resumed

    # Direct runs

    async def start_direct(self, call: RunCall, *, outlives: bool = False) -> Reader:
        """Start a run that its caller streams at once, and may come back to; one that `outlives` its streams goes on
        without them, however long nobody comes.
        """
        runner, executor = self._ready()
        runner.refuse_if_full(call.run_id)
        new = new_run(call, direct=True)
        claim = (await self.store.create(new)).claim
        if claim is None:
            raise _taken(call.run_id)
        try:
            run = runner.start(
                call.payload,
                run_id=new.run_id,
                thread_id=call.thread_id,
                identity=call.identity,
                request_id=call.request_id,
                streams=True,
                accepted=Accepted(direct=True),
                cause=call.cause,
                needs_tokens=call.needs_tokens,
            )
        except DockrionError as exc:
            # Since the last look. Nobody else may begin it.
            await executor.refuse(claim, exc)
            raise
        executor.adopt(run, claim, paced=True, outlives=outlives)
        return self.channels.follow(new.run_id, 0, stops_at_questions=True)

    async def follow_direct(
        self,
        run_id: str,
        identity: Identity,
        *,
        after: int,
        first: int | None = None,
        waits: bool = True,
    ) -> Reader | None:
        """Go on after that event; None when it was the last one. Raises `GoneError` where that cannot be done.

        `first` is where to read from, if what came before it is wanted, too: for what is written must be known what has
        been. `waits`: if the run waits after that event, the caller knows, and gets what follows the answer.
        """
        record = await self.store.get(run_id)
        if record is None or not identity.may_see_runs_of(record.owner):
            raise GoneError(f"The run {run_id!r} is not held here (any more).")
        if after >= record.end:
            raise GoneError(f"Last-Event-ID: the run {run_id!r} has no event {after} (yet).")
        if record.is_final and after == record.end - 1:
            return None
        first = after + 1 if first is None else first
        return await self.follow(record, start=first, seen=after + waits, stops_at_questions=True)

    async def refuse_known(self, run_id: str) -> None:
        """Raise `ConflictError` for an id that a kept run has."""
        if await self.store.get(run_id) is not None:
            raise _taken(run_id)

    async def park(self, run: Run, batch: Batch) -> None:
        """Keep a run that nobody has kept so far and that waits for answers now, with its last batch.

        Its payload is not needed any more: a graph goes on from its checkpoint, and what waits in its own code ends
        with this process. Raises `ConflictError` where another process has made a run with its id meanwhile.
        """
        _, executor = self._ready()
        context = run.context
        call = RunCall(
            None,
            run.run_id,
            context.thread_id,
            context.identity,
            context.request_id,
            run.cause,
        )
        new = new_run(call, direct=run.is_waiting)
        created = await self.store.create_interrupted(
            new, entries_of(run.run_id, batch), questions_of(run), claimed=run.is_waiting
        )
        if not created.is_new:
            raise _taken(run.run_id)
        if created.claim is not None:
            executor.adopt(run, created.claim, paced=False)

    # Steps

    def _ready(self) -> tuple[Runner, Executor]:
        if self._runner is None or self._executor is None:
            raise RuntimeError("runs are started before the agent is there")
        return self._runner, self._executor

    def _is_here(self, run_id: str) -> bool:
        return self._executor is not None and run_id in self._executor

    def _runs_unkept(self, run_id: str) -> bool:
        """Whether a run with that id is under way here that no store knows of."""
        runner, executor = self._runner, self._executor
        if runner is None or executor is None or not runner.has(run_id):
            return False
        return run_id not in executor

    async def _submit(self, record: RunRecord) -> None:
        try:
            await self._dispatcher.submit(record)
        except StoreError as exc:
            # It is written down: the reaper finds it.
            logger.warning("run is not submitted yet: %s", exc, extra={"run_id": record.run_id})

    async def _to_others(self, run_id: str) -> None:
        """Submit a run that was handed back, unless it has come to its end."""
        try:
            record = await self.store.get(run_id)
        except StoreError as exc:
            logger.warning("run is not submitted yet: %s", exc, extra={"run_id": run_id})
            return
        if record is not None and record.status is RunStatus.ACCEPTED:
            await self._submit(record)

    async def _ended_soon(self, record: RunRecord) -> RunRecord:
        changed = asyncio.Event()
        await self.store.watch(record.run_id, changed.set)
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                while True:
                    changed.clear()
                    now = await self.store.get(record.run_id)
                    if now is None or now.is_final:
                        return now or record
                    await changed.wait()
        except TimeoutError:
            return record
        finally:
            self.store.unwatch(record.run_id, changed.set)


def _answers(questions: tuple[Question, ...], answer: Any) -> dict[str, Any]:
    ids = [asked.interrupt_id for asked in questions]
    if isinstance(answer, dict):
        given = cast("dict[str, Any]", answer)
        if given and set(given) <= set(ids):
            return given
    if len(ids) == 1:
        return {ids[0]: answer}
    raise ValidationError(
        "The run waits for several answers: send {interrupt_id: value}, with ids of "
        f"{', '.join(ids)}."
    )


def _taken(run_id: str | None) -> ConflictError:
    return ConflictError(f"A run with the id {run_id!r} exists already.")


def _key_taken() -> ConflictError:
    return ConflictError("Idempotency-Key: it was used for another request.")
