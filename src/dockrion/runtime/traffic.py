"""What passes through an app, counted: invocations, and what their runs do.

Counting adds to plain numbers, on the event loop. They are handed on in bulk, as a `Tally`, every
`TICK_SECONDS` while calls are open or kept runs are at work, and whenever somebody asks: what is done with them (metrics, access lines)
costs nothing on the way of a request.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from time import perf_counter, time
from typing import Final, Protocol, Self

import msgspec

from dockrion.errors import DockrionError, status_for
from dockrion.events.model import (
    KINDS,
    Cancelled,
    Complete,
    Event,
    Failed,
    Interrupted,
    Outcome,
    Policy,
    Token,
)
from dockrion.runs.ending import CALLER_LEFT
from dockrion.runtime.asgi import RUN_ID_KEY, Scope
from dockrion.runtime.front_ends import WEBSOCKET
from dockrion.runtime.requests import Request
from dockrion.telemetry.base import Cause, Span, Tracer, Usage
from dockrion.telemetry.genai import RUN_ID
from dockrion.telemetry.http import answered
from dockrion.telemetry.w3c import carrier_in, trace_id_of

TICK_SECONDS: Final = 0.1
# Few enough to be still in the processor's cache.
MAX_CALLS: Final = 64
# What proxies log when nobody waited for the answer.
CALLER_LEFT_STATUS: Final = 499
# Where one connection makes many invocations.
SOCKET_PATH: Final = WEBSOCKET.path
# Agents name the rules of their `policy` events; past so many, the rest counts as one.
MAX_RULES: Final = 100
OTHER_RULES: Final = "other"

Counts = defaultdict[str, int]


class Answered(Protocol):
    """What a call is about: a run, or one reader of it. `outcome` is how it ended, for who saw that."""

    @property
    def run_id(self) -> str: ...

    @property
    def outcome(self) -> Outcome | None: ...


class Call(msgspec.Struct, gc=False):
    """One invocation, open until its `with` block is left: from its head to the end of its answer.

    `status` is that of the answer; of a stream that ended otherwise than it began, the one that its ending has
    as an answer of `/invoke`. 499 stands for a caller who went away. `ended_at` is wall-clock time.

    Closed calls are kept for a moment, so the garbage collector must not count them: it would run after every few
    dozen requests, which costs more than all the counting. Nothing that a call refers to refers to it while it is open.
    """

    traffic: Traffic
    endpoint: str
    request_id: bytes
    began: float
    # Of its request, while it is open.
    scope: Scope | None
    run: Answered | None = None
    run_id: str | None = None
    status: int = 500
    # Of the answer, where that was sent before it was known how it would end.
    sent_status: int = 0
    code: str | None = None
    seconds: float = 0.0
    ended_at: float = 0.0
    # What is traced to it, while it is open; its own span, where requests are traced.
    cause: Cause = None
    span: Span | None = None
    trace_id: str | None = None

    def refused(self, error: DockrionError) -> None:
        self.status, self.code = error.status, error.code

    def left(self) -> None:
        self.status = CALLER_LEFT_STATUS

    def __enter__(self) -> Self:
        if self.span is not None:
            self.span.enter()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.seconds = perf_counter() - self.began
        self.ended_at = time()
        run = self.run
        if run is not None:
            # Not the run itself, which has its output.
            self.run = None
            self.run_id = run.run_id
            outcome = run.outcome
            if type(outcome) is Complete:
                self.status = 200
            else:
                self.status, self.code = _answer_of(outcome)
        if error is not None:
            self._raised(error)
        self.scope = None
        if self.cause is not None:
            self._end_trace()
        self.traffic.end(self)

    def _raised(self, error: BaseException) -> None:
        """Note what is answered further out: a refusal, or what nobody expected (`unforeseen.py`)."""
        if isinstance(error, DockrionError):
            self.refused(error)
        elif isinstance(error, Exception) and not (self.run_id and isinstance(error, OSError)):
            # Some servers raise that when a caller has gone, which changes nothing for the run.
            self.status, self.code = DockrionError.status, DockrionError.code
        if self.scope is not None and self.run_id is not None:
            self.scope[RUN_ID_KEY] = self.run_id

    def _end_trace(self) -> None:
        self.trace_id = trace_id_of(self.cause)
        span, self.cause, self.span = self.span, None, None
        if span is not None:
            span.note({"dockrion.request.id": self.request_id.decode("latin-1")})
            if self.run_id is not None:
                span.note({RUN_ID: self.run_id})
            status = self.sent_status or self.status
            answered(span, status, code=self.code, failed=self.status >= 500)
            span.end()


class Tally:
    """What has been counted since the last one. `refusals` are of what is no invocation, and has a line in the log alone."""

    __slots__ = (
        "blocks",
        "calls",
        "ended",
        "events",
        "first_tokens",
        "refusals",
        "tokens",
        "used",
        "violations",
    )

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refusals: list[Call] = []
        self.events: Counts = defaultdict(int)
        self.first_tokens: list[float] = []
        self.tokens = 0
        self.used: Usage | None = None
        self.blocks = 0
        self.violations: Counts = defaultdict(int)
        self.ended: defaultdict[type[Outcome], int] = defaultdict(int)


class Traffic:
    """Counts for an app; the `RunObserver` of its runner. Each of `sinks` gets every tally, in order."""

    def __init__(self) -> None:
        self.sinks: list[Callable[[Tally], None]] = []
        self.active = 0
        self.tracer: Tracer | None = None
        self._tally = Tally()
        self._rules: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        # Kept runs that are executed.
        self._at_work = 0

    # Invocations

    def begin(self, endpoint: str, request: Request) -> Call:
        """Return a call that counts as open until its `with` block is left."""
        self.active += 1
        if self._timer is None:
            self._start_ticking()
        call = Call(self, endpoint, request.request_id, perf_counter(), request.scope)
        if self.tracer is not None:
            call.span = self.tracer.request(request.scope, request.headers, endpoint)
            request.cause = call.cause = call.span
        elif b"traceparent" in request.headers:
            request.cause = call.cause = carrier_in(request.headers)
        return call

    def end(self, call: Call) -> None:
        self.active -= 1
        calls = self._tally.calls
        calls.append(call)
        if len(calls) >= MAX_CALLS:
            self.flush()

    def refused(self, endpoint: str, request: Request, error: DockrionError) -> None:
        """Let a refusal be logged, of what is no invocation."""
        call = Call(self, endpoint, request.request_id, perf_counter(), None)
        call.refused(error)
        call.ended_at = time()
        call.trace_id = trace_id_of(carrier_in(request.headers))
        refusals = self._tally.refusals
        refusals.append(call)
        if self._timer is None:
            self._start_ticking()
        if len(refusals) >= MAX_CALLS:
            self.flush()

    # Runs

    def batch(self, events: list[Event], *, tokens: int, sent: int) -> None:
        tally = self._tally
        tally.tokens += tokens
        if sent:
            tally.events["token"] += sent
        if sent < len(events):
            for event in events:
                if type(event) is not Token:
                    tally.events[KINDS[type(event)]] += 1
                    if type(event) is Policy:
                        self.violated(event.rule)

    def first_token(self, seconds: float) -> None:
        self._tally.first_tokens.append(seconds)

    def violated(self, rule: str) -> None:
        if rule not in self._rules:
            if len(self._rules) >= MAX_RULES:
                rule = OTHER_RULES
            self._rules.add(rule)
        self._tally.violations[rule] += 1

    def used(self, usage: Usage) -> None:
        used = self._tally.used
        self._tally.used = usage if used is None else used + usage

    def blocked(self) -> None:
        """Code of the agent has blocked the event loop."""
        self._tally.blocks += 1
        if self._timer is None:
            self.flush()

    def heartbeat(self) -> None:
        self._tally.events["heartbeat"] += 1

    def ended(self, outcome: Outcome) -> None:
        self._tally.ended[type(outcome)] += 1

    def at_work(self, runs: int) -> None:
        self._at_work = runs
        if runs and self._timer is None:
            self._start_ticking()

    # Handing on

    def flush(self) -> None:
        tally, self._tally = self._tally, Tally()
        for sink in self.sinks:
            sink(tally)

    def close(self) -> None:
        """Hand on what is left; nothing is open any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()

    def _start_ticking(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(TICK_SECONDS, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        # The last tick comes after the last call, or kept run, has ended.
        goes_on = self.active > 0 or self._at_work > 0
        self._timer = loop.call_later(TICK_SECONDS, self._tick, loop) if goes_on else None
        self.flush()


def _answer_of(outcome: Outcome | None) -> tuple[int, str | None]:
    match outcome:
        case Interrupted():
            return 202, None
        case Failed(code=code):
            return status_for(code), code
        case Cancelled() if outcome is not CALLER_LEFT:
            return 409, "CONFLICT"
        case _:
            return CALLER_LEFT_STATUS, None
