"""Following a run over cuts, timeouts and restarts: each event once, in order, until the last one.

A stream is taken up after the last event that was seen whole. A run whose first event was never seen is looked for by its id,
since asking for it once more would start, and cost, another one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import httpx2

from dockrion.client.answers import Answer, Run, error_of, read
from dockrion.client.asking import Ask, get_ask, run_path
from dockrion.client.backoff import Backoff
from dockrion.client.events import Gap, Heartbeat, StreamEvent, TimedOut, read_event
from dockrion.client.flow import (
    Arrived,
    Close,
    Finish,
    Opened,
    Pause,
    Receive,
    ReceiveAll,
    Send,
    Step,
    patience_for,
    unreachable,
    was_never_sent,
    why,
)
from dockrion.errors import (
    DockrionError,
    GoneError,
    NotFoundError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
)
from dockrion.events.model import Interrupt, RunStatus
from dockrion.events.sse_parser import (
    MAX_EVENT_BYTES,
    EventParser,
    EventTooLargeError,
    Frame,
)

# A connection that lasted so long was one, even if nothing happened on it.
ALIVE_SECONDS: Final = 5.0
# What a server, or what stands before it, answers while it is not quite there, or still counts a connection that broke.
_PASSING: Final = frozenset({408, 429, 502, 503, 504})


class MissingEventsError(Exception):
    """The stream left something out without a word."""


class Following:
    """The state of one stream. `position` is the last sequence that was given out, -1 before the first.

    `first`: how it is asked for. `direct`: the stream of an invocation, which is over when its run asks; else a
    subscription, which goes on after the answer.
    """

    def __init__(
        self,
        first: Ask,
        *,
        run_id: str | None,
        position: int,
        direct: bool,
        retries: int,
        reconnect_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self.run_id = run_id
        self.position = position
        self.ended = False
        self._first = first
        self._direct = direct
        # Sending it twice would start a second run.
        self._starts = direct and position < 0
        self._retries = retries
        self._reconnect_seconds = reconnect_seconds
        self._now = now
        self._backoff = Backoff()
        self._was_open = False
        self._tried = 0
        # Since when nothing has come any more.
        self._trouble: float | None = None
        # The questions that the last events were.
        self._asked: set[str] = set()
        self._takes_one = False
        self._timed_out = False

    @property
    def last_event_id(self) -> str | None:
        if self.run_id is None or self.position < 0:
            return None
        return f"{self.run_id}:{self.position}"

    def steps(self) -> Generator[Step, Any, None]:
        ask = self._first
        while True:
            broken: Exception | None = None
            at_least = 0.0
            self._timed_out = False
            try:
                answer: Answer = yield Send(ask)
                if answer.status not in (200, 204):
                    answer = yield ReceiveAll()
            except httpx2.RequestError as exc:
                self._check_unanswered(exc)
                broken = exc
            else:
                if answer.status == 204:
                    self.ended = True
                elif answer.status == 200:
                    broken = yield from self._follow(answer)
                else:
                    broken, at_least = self._check_refusal(answer)
            if self._direct and self._asked and not self.ended:
                yield Close()
                yield from self._look_whether_it_waits()
            if self.ended:
                yield Finish()
                return
            yield Close()
            seconds = self._pause(broken, at_least)
            if seconds:
                yield Pause(seconds)
            ask = self._next_ask(ask)

    def _follow(self, answer: Answer) -> Generator[Step, Any, Exception | None]:
        """Give out what the stream brings; return why it ended where it should go on."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "text/event-stream":
            raise UnexpectedAnswerError(
                f"{answer.place} answered with {kind or 'no Content-Type'}, not with a stream of events: "
                "is it a dockrion server?"
            )
        self.run_id = answer.run_id or self.run_id
        self._was_open = True
        opened = self._now()
        yield Opened()
        parser = EventParser(max_event_bytes=MAX_EVENT_BYTES)
        broken: Exception | None = None
        while broken is None and not self.ended and not self._timed_out:
            try:
                chunk: bytes = yield Receive()
            except httpx2.RequestError as exc:
                broken = exc
                break
            if not chunk:
                self.ended = self._direct and bool(self._asked)
                break
            events: list[StreamEvent] = []
            try:
                self._take(parser.feed(chunk), events)
            except (MissingEventsError, EventTooLargeError, UnexpectedAnswerError) as exc:
                broken = exc
            if events:
                self._tell_progress()
                yield Arrived(events)
            if isinstance(broken, EventTooLargeError):
                raise UnexpectedAnswerError(f"{answer.place}: {broken}") from broken
            if isinstance(broken, UnexpectedAnswerError):
                raise broken
            if events and self._takes_one:
                break
        if self._timed_out or self._now() - opened >= ALIVE_SECONDS:
            self._tell_progress()
        return broken

    def _look_whether_it_waits(self) -> Generator[Step, Any, None]:
        """After a cut behind a question: that may have been the last event, and to go on is to wait for its answer."""
        assert self.run_id is not None
        try:
            yield Send(get_ask(self.run_id))
            answer: Answer = yield ReceiveAll()
        except httpx2.RequestError:
            return
        if answer.status == 200:
            run = read(answer, Run)
            asked = {one.interrupt_id for one in run.interrupts}
            self.ended = run.status == RunStatus.INTERRUPTED and asked <= self._asked
        else:
            # Where runs cannot be looked at, they cannot be answered either.
            self.ended = answer.status == 404

    def _take(self, frames: list[Frame], events: list[StreamEvent]) -> None:
        """Add what is new to the events."""
        for frame in frames:
            event = read_event(frame)
            sequence = event.sequence
            if sequence is None:
                self._take_unnumbered(event, events)
                continue
            if sequence <= self.position:
                continue
            if sequence != self.position + 1:
                raise MissingEventsError(
                    f"event {sequence} came after event {self.position}"
                    if self.position >= 0
                    else f"event {sequence} came first"
                )
            self.position = sequence
            events.append(event)
            if isinstance(event.data, Interrupt):
                self._asked.add(event.data.interrupt_id)
            elif self._asked:
                self._asked.clear()
            if event.is_terminal:
                self.ended = True
                return
            if self._takes_one:
                return

    def _take_unnumbered(self, event: StreamEvent, events: list[StreamEvent]) -> None:
        match event.data:
            case Heartbeat():
                pass
            case TimedOut():
                self._timed_out = True
            case Gap(last=last):
                if last > self.position:
                    self.position = last
                    events.append(event)
            case _:
                events.append(event)

    def _tell_progress(self) -> None:
        self._trouble = None
        self._backoff.reset()

    def _check_unanswered(self, exc: httpx2.RequestError) -> None:
        """Raise where a request that nobody answered ends it all."""
        if self._was_open:
            return
        self._tried += 1
        if was_never_sent(exc) or not self._starts:
            if self._tried > self._retries:
                raise unreachable(exc) from exc
        elif self.run_id is None:
            error = unreachable(exc)
            raise ServiceUnavailableError(
                f"{error.message}. No answer came, so the run may have been started or not; with a run_id of "
                "your own it could be looked for."
            ) from exc
        else:
            # It was sent: from now on its run is looked for.
            self._was_open = True

    def _check_refusal(self, answer: Answer) -> tuple[Exception, float]:
        """Return the error that may pass, and the pause that it asks for; raise any other."""
        error = error_of(answer)
        if self._was_open:
            if answer.status in _PASSING:
                return error, float(answer.retry_after or 0)
            raise self._explained(error) from error
        self._tried += 1
        patience = patience_for(answer, is_safe=not self._starts)
        if patience is None or self._tried > self._retries:
            raise error
        return error, float(patience)

    def _explained(self, error: DockrionError) -> DockrionError:
        """Say what an error means for a stream that was cut."""
        if not (self._direct and isinstance(error, GoneError | NotFoundError)):
            return error
        seen = f"after event {self.position}" if self.position >= 0 else "before its first event"
        return GoneError(
            f"The stream of the run {self.run_id!r} was cut {seen}, and the server does not hold it: {error.message} "
            "(streaming.connection.on_disconnect: continue, or a resume_window, let streams be taken up again.)"
        )

    def _pause(self, broken: Exception | None, at_least: float) -> float:
        """Return the seconds until it is tried again; raise when it has been tried for long enough."""
        if self._takes_one and self.position >= 0:
            return 0.0
        if self._timed_out:
            return self._backoff.next()
        now = self._now()
        if self._trouble is None:
            self._trouble = now
        seconds = self._backoff.next(at_least=at_least)
        if not self._was_open:
            return seconds
        if now - self._trouble + seconds >= self._reconnect_seconds:
            raise self._gives_up(broken) from broken
        return seconds

    def _gives_up(self, broken: Exception | None) -> ServiceUnavailableError:
        reason = "it ended without its last event" if broken is None else why(broken)
        seen = f"after event {self.position}" if self.position >= 0 else "before its first event"
        return ServiceUnavailableError(
            f"The stream of the run {self.run_id!r} was cut {seen} and could not be taken up again in "
            f"{self._reconnect_seconds:g} s: {reason}"
        )

    def _next_ask(self, ask: Ask) -> Ask:
        if not self._was_open:
            return ask
        if self.run_id is None:
            raise UnexpectedAnswerError(
                "The stream was cut before its first event, and its answer has no X-Run-ID to look for it by."
            )
        headers = {"Accept": "text/event-stream"}
        self._takes_one = False
        if self.position >= 0:
            headers["Last-Event-ID"] = f"{self.run_id}:{self.position}"
            if self._direct:
                return Ask(method="POST", path="/invoke/stream", headers=headers)
            return Ask(method="GET", path=self._first.path, headers=headers)
        if not self._direct:
            return self._first
        # An invocation's stream has no id to come back with before its first event. Only that one is read
        # here: this way to follow a run does not stop where it asks.
        self._takes_one = True
        path = run_path(self.run_id, "/events")
        return Ask(method="GET", path=path, headers=headers)
