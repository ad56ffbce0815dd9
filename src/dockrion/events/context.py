"""`StreamContext`: what an agent uses to emit events and to learn about its run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import MappingProxyType
from typing import Any, Final, ParamSpec, TypeVar

from dockrion.errors import AgentExecutionError
from dockrion.events import emitted
from dockrion.events.asking import Asker
from dockrion.events.cancelled import RunCancelled
from dockrion.events.emitted import Emitted
from dockrion.events.filter import EventsFilter
from dockrion.events.identity import ANONYMOUS, Identity
from dockrion.events.metering import Meter
from dockrion.events.model import Token
from dockrion.events.outbox import Outbox
from dockrion.events.tools import ToolGate
from dockrion.telemetry.base import Tracer, Usage

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

NO_ARGUMENTS: Final[Mapping[str, Any]] = MappingProxyType({})
_SEND_ALL: Final = EventsFilter()

_current: contextvars.ContextVar[StreamContext | None] = contextvars.ContextVar(
    "dockrion_context", default=None
)


class StreamContext:
    """The run as its agent sees it.

    Emits keep their order. Async ones may wait for a slow reader; `sync_` ones wait only outside the event
    loop's thread. An event that the Dockfile's filter does not allow is not built. After the run is over
    (cancelled, timed out, left by its caller) every emit raises `RunCancelled`. Without a run behind it (in
    tests of an agent) what it emits goes nowhere. How a run begins and ends is for the runtime to say:
    `emit_started`, `emit_complete`, `emit_error` and `emit_cancelled` warn, and do nothing.
    """

    __slots__ = (
        "_asker",
        "_describe",
        "_filter",
        "_meter",
        "_outbox",
        "_tools",
        "_tracer",
        "arguments",
        "attempt",
        "identity",
        "request_id",
        "run_id",
        "thread_id",
        "trace_id",
    )

    def __init__(
        self,
        run_id: str = "",
        *,
        thread_id: str | None = None,
        arguments: Mapping[str, Any] = NO_ARGUMENTS,
        identity: Identity = ANONYMOUS,
        events_filter: EventsFilter = _SEND_ALL,
        outbox: Outbox | None = None,
        request_id: str | None = None,
        describe: Callable[[BaseException], str] | None = None,
        tools: ToolGate | None = None,
        asker: Asker | None = None,
        attempt: int = 1,
        trace_id: str | None = None,
        tracer: Tracer | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._describe = describe
        self.run_id = run_id
        # Of the HTTP request that started the run: for log lines.
        self.request_id = request_id
        self.thread_id = run_id if thread_id is None else thread_id
        self.arguments = arguments
        self.identity = identity
        self._filter = events_filter
        self._outbox = outbox
        # Where there are no rules, every tool may run.
        self._tools = tools
        # Where nobody could answer there is none.
        self._asker = asker
        # Above 1, a worker that had the run is gone, and what it did may have been done.
        self.attempt = attempt
        # For log lines: that of whoever called, also where nothing is traced here.
        self.trace_id = trace_id
        # Where nothing is traced there is none.
        self._tracer = tracer
        self._meter = meter

    @property
    def events_filter(self) -> EventsFilter:
        return self._filter

    @property
    def outbox(self) -> Outbox | None:
        """Where adapters put what their framework tells; `None` without a run."""
        return self._outbox

    @property
    def tracer(self) -> Tracer | None:
        """What adapters start spans with; `None` where nothing is traced."""
        return self._tracer

    def used(self, usage: Usage) -> None:
        """Count what a call of a model used: for adapters, from any thread."""
        if self._meter is not None:
            self._meter.used(usage, self)

    def describe_error(self, error: BaseException) -> str:
        """Return what callers may be told of an exception, as `expose.error_details` says."""
        return type(error).__name__ if self._describe is None else self._describe(error)

    @property
    def cancelled(self) -> bool:
        """Whether the run is over, so that further work is in vain."""
        return self._outbox is not None and self._outbox.closed

    def is_tool_allowed(self, name: str) -> bool:
        """Whether the Dockfile's `policies.tools` let this tool run."""
        return self._tools is None or self._tools.allows(name)

    def guard_tool(self, name: str) -> None:
        """Return if the tool may run, else make the refusal known and raise `PolicyViolationError`."""
        if self._tools is not None and not self._tools.allows(name):
            raise self._tools.refuse(name, self)

    def bind(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return `function` with this context as the current one, for threads that the agent starts itself.

        It runs there in the span that is current here.
        """
        around = None if self._tracer is None else contextvars.copy_context()

        @functools.wraps(function)
        def bound(*args: P.args, **kwargs: P.kwargs) -> R:
            if around is not None:
                # One for each thread: a context is entered by one at a time.
                return around.copy().run(called, *args, **kwargs)
            return called(*args, **kwargs)

        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            token = _current.set(self)
            try:
                return function(*args, **kwargs)
            finally:
                _current.reset(token)

        return bound

    async def ask(self, question: Any) -> Any:
        """Show the run's callers `question`, which becomes plain JSON, and return the answer when one of them gives it.

        The run waits as `INTERRUPTED` meanwhile, and only this task with it: others may go on, and ask too. Raises
        `RunCancelled` when the run is over before that. The wait ends with the process.
        """
        if self._outbox is not None and self._outbox.closed:
            await self._outbox.refuse()
        try:
            return await asyncio.wrap_future(self._ask(question))
        except asyncio.CancelledError:
            if self.cancelled:
                raise RunCancelled("the run is over") from None
            raise

    def sync_ask(self, question: Any) -> Any:
        """`ask` for code in threads: it blocks its own."""
        outbox = self._outbox
        if outbox is not None:
            if outbox.is_on_loop:
                raise RuntimeError(
                    "context.sync_ask() on the event loop would wait for ever: use `await context.ask(...)`"
                )
            outbox.check()
        return self._ask(question).result()

    def _ask(self, question: Any) -> Future[Any]:
        if self._asker is None:
            raise AgentExecutionError(
                "context.ask() needs somebody who answers: this run has no server behind it."
            )
        return self._asker.ask(question, self)

    # Async emits

    async def emit_token(self, content: str, finish_reason: str | None = None) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        if outbox.closed:
            await outbox.refuse()
        if type(content) is str and finish_reason is None:
            outbox.put(Token(content), len(content))
        else:
            outbox.put(*emitted.token(content, finish_reason))
        if outbox.turn_due:
            await outbox.turn()

    async def emit_progress(self, step: str, progress: float, message: str | None = None) -> None:
        """Emit how far a step is: `progress` from 0.0 to 1.0; what lies outside is clamped."""
        await self._emit("progress", emitted.progress, step, progress, message)

    async def emit_step(
        self,
        node_name: str,
        duration_ms: float | None = None,
        input_keys: list[str] | None = None,
        output_keys: list[str] | None = None,
    ) -> None:
        await self._emit("step", emitted.step, node_name, duration_ms, input_keys, output_keys)

    async def checkpoint(self, name: str, data: Any = None) -> None:
        """Emit a state of the agent's, by a name; `data` becomes plain JSON, as it is now."""
        await self._emit("checkpoint", emitted.checkpoint, name, data)

    async def emit(self, name: str, data: Any = None, /, **fields: Any) -> None:
        """Emit a custom event; `name` with or without `custom:`, `fields` are merged into `data`."""
        await self._emit(_custom_type(name), emitted.custom, name, data, fields)

    async def emit_heartbeat(self) -> None:
        """Say that the run is alive, where the filter lets heartbeats pass; the server does so by itself as well."""
        if self._outbox is not None and self._outbox.closed:
            await self._outbox.refuse()
        self.sync_emit_heartbeat()
        if self._outbox is not None and self._outbox.turn_due:
            await self._outbox.turn()

    # Their twins for sync code

    def sync_emit_token(self, content: str, finish_reason: str | None = None) -> None:
        if self._outbox is not None:
            self._outbox.put_and_wait(*emitted.token(content, finish_reason))

    def sync_emit_progress(self, step: str, progress: float, message: str | None = None) -> None:
        self._sync_emit("progress", emitted.progress, step, progress, message)

    def sync_emit_step(
        self,
        node_name: str,
        duration_ms: float | None = None,
        input_keys: list[str] | None = None,
        output_keys: list[str] | None = None,
    ) -> None:
        self._sync_emit("step", emitted.step, node_name, duration_ms, input_keys, output_keys)

    def sync_checkpoint(self, name: str, data: Any = None) -> None:
        self._sync_emit("checkpoint", emitted.checkpoint, name, data)

    def sync_emit(self, name: str, data: Any = None, /, **fields: Any) -> None:
        self._sync_emit(_custom_type(name), emitted.custom, name, data, fields)

    def sync_emit_heartbeat(self) -> None:
        if self._outbox is None:
            return
        self._outbox.check()
        if self._filter.heartbeat:
            self._outbox.beat()

    # What the runtime says, not the agent

    async def emit_started(self, *_args: object, **_kwargs: object) -> None:
        _ignored("started")

    async def emit_complete(self, *_args: object, **_kwargs: object) -> None:
        _ignored("complete")

    async def emit_error(self, *_args: object, **_kwargs: object) -> None:
        _ignored("error")

    async def emit_cancelled(self, *_args: object, **_kwargs: object) -> None:
        _ignored("cancelled")

    def sync_emit_started(self, *_args: object, **_kwargs: object) -> None:
        _ignored("started")

    def sync_emit_complete(self, *_args: object, **_kwargs: object) -> None:
        _ignored("complete")

    def sync_emit_error(self, *_args: object, **_kwargs: object) -> None:
        _ignored("error")

    def sync_emit_cancelled(self, *_args: object, **_kwargs: object) -> None:
        _ignored("cancelled")

    async def _emit(self, event_type: str, make: Callable[..., Emitted], *args: Any) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        if outbox.closed:
            await outbox.refuse()
        if self._filter.is_allowed(event_type):
            outbox.put(*make(*args))
        if outbox.turn_due:
            await outbox.turn()

    def _sync_emit(self, event_type: str, make: Callable[..., Emitted], *args: Any) -> None:
        outbox = self._outbox
        if outbox is None:
            return
        if self._filter.is_allowed(event_type):
            outbox.put_and_wait(*make(*args))
        else:
            outbox.check()


def get_current_context() -> StreamContext | None:
    """Return the context of the run that this code belongs to, `None` outside of a run.

    It is the same in tasks and `asyncio.to_thread` calls that the agent starts; for other threads see
    `StreamContext.bind`.
    """
    return _current.get()


def set_current_context(context: StreamContext | None) -> contextvars.Token[StreamContext | None]:
    """Make `context` the current one in this task or thread."""
    return _current.set(context)


def reset_current_context(token: contextvars.Token[StreamContext | None]) -> None:
    """Undo the `set_current_context` that returned `token`."""
    _current.reset(token)


def _custom_type(name: object) -> str:
    text = name if isinstance(name, str) else ""
    return text if text.startswith("custom:") else f"custom:{text}"


def _ignored(event_type: str) -> None:
    logger.warning(
        "the runtime sends this event itself; the emit was ignored",
        extra={"event_type": event_type},
    )
