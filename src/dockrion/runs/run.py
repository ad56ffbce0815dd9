"""One run: from its first event to its one terminal event."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from dockrion.errors import InvalidOutputError, PolicyViolationError
from dockrion.events.base import HaltedError, Stage
from dockrion.events.context import StreamContext, reset_current_context, set_current_context
from dockrion.events.model import (
    Batch,
    Cancelled,
    Event,
    Failed,
    Interrupt,
    Interrupted,
    Outcome,
    Started,
)
from dockrion.events.outbox import Outbox
from dockrion.runs.accepted import Accepted
from dockrion.runs.asks import Asks
from dockrion.runs.base import Owner, RunRules, Worker
from dockrion.runs.ending import (
    CALLER_LEFT,
    INTERNAL,
    LOST,
    OVER,
    Ending,
    Finished,
    Raised,
    Stopped,
    questions,
)
from dockrion.runs.log import RunLog
from dockrion.runs.measures import Measures
from dockrion.runs.passage import Passage
from dockrion.runs.spans import RunSpan
from dockrion.runs.telling import terminal_of, violated
from dockrion.telemetry.base import Cause, Usage

logger = logging.getLogger(__name__)


class Run:
    """A run as its one reader and its runner see it. On the event loop's thread, but for `conclude`.

    The first ending counts. Exactly one terminal event comes out, as the last event of the last batch; what
    the agent emitted before the ending comes before it.

    A batch in which a question of `context.ask` leaves ends with it, though the run is not over: whoever reads on
    gets what comes after the answer.
    """

    __slots__ = (
        "_accepted",
        "_asks",
        "_endings",
        "_log",
        "_measures",
        "_owner",
        "_passage",
        "_sealed",
        "_violation",
        "_worker",
        "began",
        "cause",
        "context",
        "outbox",
        "outcome",
        "rules",
        "span",
    )

    def __init__(
        self,
        context: StreamContext,
        outbox: Outbox,
        rules: RunRules,
        stages: Sequence[Stage],
        log: RunLog,
        owner: Owner,
        accepted: Accepted | None = None,
        cause: Cause = None,
    ) -> None:
        self.context = context
        self.cause = cause
        # Since it has begun, where runs are traced.
        self.span: RunSpan | None = None
        self.outbox = outbox
        self._owner = owner
        self._accepted = accepted
        self.rules = rules
        self._passage = Passage(
            stages,
            rules.observer,
            sends_tokens=context.events_filter.token,
            max_token_bytes=rules.output.max_bytes,
        )
        self._log = log
        # A list, because `append` is atomic from any thread: the first one in it is the ending.
        self._endings: list[Ending] = []
        self._sealed = False
        # What the violation that a stage found is told as.
        self._violation: Failed | None = None
        self._measures = Measures()
        self._worker: Worker | None = None
        # Whether the agent may have done something already.
        self.began = False
        # Since its agent has asked for the first time.
        self._asks: Asks | None = None
        # How it ended: for the one who read its last batch, or left before that. While it waits: that it does.
        self.outcome: Outcome | None = None
        outbox.on_overflow = self._overflowed

    @property
    def run_id(self) -> str:
        return self.context.run_id

    @property
    def ended(self) -> bool:
        """Whether the ending is known; its terminal event may still wait for the reader."""
        return bool(self._endings)

    @property
    def is_lost(self) -> bool:
        """Whether it ends here alone, since another worker has it, or will."""
        ending = self._endings[0] if self._endings else None
        return isinstance(ending, Stopped) and ending.terminal is LOST

    @property
    def position(self) -> int:
        """The sequence of its next event."""
        return self._log.position

    @property
    def takes_now(self) -> bool:
        """Whether `take` may be called: the log numbers without waiting."""
        return self._log.immediate

    # The runner's side

    def finished(self, value: Any) -> Finished | Raised:
        """Make the output of what the agent returned. In the agent's own thread, where it has one: a large one
        takes long. Without a value, the tokens that have been read so far make it, so that is for the loop's thread.
        """
        try:
            output, notes = self.rules.output.finish(
                value, self._passage.tokens, run_id=self.run_id
            )
        except InvalidOutputError as exc:
            return Finished(None, {}, exc)
        except BaseException as exc:  # of the agent's own objects, which say how they are text
            return Raised(exc)
        return Finished(output, notes)

    def takes_long_to_finish(self, value: Any) -> bool:
        """Whether `finished` would hold up the loop: redaction reads each character."""
        return self.rules.output.takes_long(value)

    def begin(self, *, streams: bool) -> None:
        """Put `started` in front of whatever the agent emits, where somebody reads it. From any thread."""
        self.began = True
        self._measures.begin()
        if self.rules.tracing is not None:
            self.span = self.rules.tracing.begin(self)
        if not streams:
            return
        attempt = None
        if self._accepted is not None:
            if self._accepted.has_started:
                return
            attempt = self._accepted.attempt if self._accepted.attempt > 1 else None
        self.outbox.put(Started(self.rules.agent_name, self.rules.framework, attempt), 0)

    def ask(self, event: Interrupt, size: int, answer: Future[Any]) -> None:
        """Let the agent's question out; `answer` is told what comes of it."""
        if self._asks is None:
            self._asks = Asks(self.outbox, waits=self._wait, goes_on=self._go_on)
            self.outbox.on_close = self._wait_no_more
        self._asks.put(event, size, answer)

    def _wait(self) -> None:
        self._measures.wait()
        self._owner.waits(self)

    def _wait_no_more(self) -> None:
        if self._asks is not None:
            self._asks.close()
            # How it ends is not known before its last batch.
            self.outcome = None

    def _go_on(self) -> None:
        self._measures.go_on()
        self.outcome = None
        self._owner.goes_on(self)

    def attach(self, worker: Worker) -> None:
        """Remember what the agent runs on, to cancel it."""
        self._worker = worker
        if self._endings:
            worker.cancel()

    def conclude(self, ending: Ending) -> None:
        """End the run; a later ending is ignored. From any thread."""
        if not self._endings:
            self._endings.append(ending)
        self.outbox.close()

    def stop(self, terminal: Failed | Cancelled) -> None:
        """End the run from outside: async code is cancelled, sync code ends at its next emit."""
        if self._endings:
            return
        self.halt(terminal)

    def halt(self, terminal: Failed | Cancelled) -> None:
        """`stop`, from any thread."""
        self.conclude(Stopped(terminal))
        self.outbox.on_loop(self._cancel)

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel()

    # The reader's side

    async def next(self) -> Batch | None:
        """Return the next batch as soon as there is something; `None` when the outbox was nudged."""
        outbox = self.outbox
        while True:
            if outbox.nudged:
                outbox.nudged = False
                return None
            # Looked at before the drain: what the agent emitted before its end is then in what is drained.
            ending = self._endings[0] if self._endings else None
            events = outbox.drain()
            if ending is not None:
                return await self._seal(events, ending)
            if not events:
                await outbox.wait()
                continue
            events = self._checked(events)
            if self._asks is not None:
                events = self._with_questions_last(events, self._asks)
            if events:
                return await self._log.append(events)

    @property
    def questions(self) -> list[Interrupt]:
        """What the agent waits inside `context.ask` for an answer to, as it has left."""
        return [] if self._asks is None else self._asks.shown

    @property
    def is_waiting(self) -> bool:
        """Whether there are `questions`, and more to read than those."""
        return not self._sealed and bool(self.questions)

    def answer(self, values: dict[str, Any]) -> None:
        """Let the agent go on with answers by the ids of its questions; ids that are none are ignored."""
        if self._asks is not None:
            self._asks.answer(values)

    def _with_questions_last(self, events: list[Event], asks: Asks) -> list[Event]:
        waited = bool(asks.shown)
        events = asks.last_in(events)
        if asks.shown:
            self.outcome = Interrupted(asks.shown)
            if not waited:
                self.rules.observer.ended(self.outcome)
        return events

    def take(self) -> Batch | None:
        """Return what is there now, for a reader that waits in `next`; `None` when there is nothing.

        A run that has ended, or asks, gives nothing here: that batch comes from `next`. Only where `takes_now`.
        """
        if self._endings or (self._asks is not None and self._asks.unsent):
            return None
        events = self._checked(self.outbox.drain())
        return self._log.append_now(events) if events else None

    @property
    def heartbeat_events(self) -> bool:
        """Whether heartbeats are events of this run's callers."""
        return self.context.events_filter.heartbeat

    @property
    def heartbeats(self) -> Outbox:
        """Where the reader hears that a heartbeat is due."""
        return self.outbox

    def beat(self) -> None:
        """Tell that the reader sends a heartbeat, which is an event only where the filter allows it."""
        if self.heartbeat_events:
            self.rules.observer.heartbeat()

    def _checked(self, events: list[Event]) -> list[Event]:
        try:
            events = self._passage.through(events)
            if (violation := self._passage.violation) is not None:
                self.stop(self._refusal(violation))
        except Exception as exc:
            self._broken(exc)
            return []
        return events

    async def _seal(self, events: list[Event], ending: Ending) -> Batch:
        if self._sealed:
            raise RuntimeError("a run has only one last batch")
        # In the reader's task: what is logged here is the run's all the same.
        token = set_current_context(self.context)
        try:
            if self._asks is not None:
                # Nobody can answer any more.
                self._wait_no_more()
                events = self._asks.last_in(events)
            events = self._passage.through(events, last=True)
            if (violation := self._passage.violation) is not None:
                self._refusal(violation)
            outcome, last = self._ended_with(ending)
        except BaseException as exc:  # what an agent raised may raise anything when it becomes text
            logger.error("a run could not be ended", exc_info=exc, extra={"run_id": self.run_id})
            events, outcome, last = [], INTERNAL, [INTERNAL]
        finally:
            reset_current_context(token)
        self._release()
        self._over(outcome)
        return await self._log.append([*events, *last])

    def _ended_with(self, ending: Ending) -> tuple[Outcome, Sequence[Event]]:
        """Return how it ended, and the events that say so."""
        try:
            if self._violation is None and (asked := questions(ending)) is not None:
                interrupts = [self._passage.alone(one) for one in asked]
                self.rules.observer.batch([*interrupts], tokens=0, sent=0)
                return Interrupted(interrupts), interrupts
            terminal = self._passage.alone(self._violation or terminal_of(self, ending))
        except HaltedError as halted:
            terminal = self._refusal(halted.violation)
        return terminal, [terminal]

    def caller_left(self) -> None:
        """End the run, since nobody waits for it; its reader still reads to the last batch."""
        self.stop(CALLER_LEFT)

    def leave(self) -> None:
        """Stop reading for good, in the middle: the run ends, and its last batch is for nobody."""
        asked = self.outcome
        self.stop(CALLER_LEFT)
        if not self._sealed:
            self._release()
            if asked is None:
                self._over(CALLER_LEFT)
            else:
                self.outcome = asked

    def break_off(self, failure: Failed) -> None:
        """End the run, since its reader cannot go on, and tells of this instead of its last batch."""
        self.stop(failure)
        if self._sealed:
            self.outcome = failure
        else:
            self._release()
            self._over(failure)

    def _over(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if self.span is not None:
            self.span.end(outcome)
        if not self.is_lost:
            self.rules.observer.ended(outcome)

    def _release(self) -> None:
        self._sealed = True
        # What holds this run, and is held by it, is a cycle that only the collector would find: the frames of what an agent
        # raised, and what the outbox calls.
        self._endings = [OVER if isinstance(one, Raised) else one for one in self._endings]
        self.outbox.on_overflow = None
        self.outbox.on_close = None
        self._asks = None
        self._owner.ended(self)

    def _refusal(self, violation: PolicyViolationError) -> Failed:
        self._violation = self._violation or violated(self, violation)
        return self._violation

    def metadata(self) -> dict[str, Any]:
        """Return what is said of every run, as of now."""
        return {
            "agent": self.rules.agent_name,
            "framework": self.rules.framework,
            "run_id": self.run_id,
            **self._measures.metadata(),
        }

    def used(self, usage: Usage) -> None:
        """Count what a model used. On the loop's thread."""
        self._measures.used(usage)
        if self.span is not None:
            self.span.used(usage)
        self.rules.observer.used(usage)

    def _broken(self, exc: Exception) -> None:
        ids = {"run_id": self.run_id, "request_id": self.context.request_id}
        logger.error("a stage raised", exc_info=exc, extra=ids)
        self.stop(INTERNAL)

    def _overflowed(self) -> None:
        self.stop(Failed("The agent emitted faster than its reader takes.", "OVERLOADED"))
