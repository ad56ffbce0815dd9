"""The agent of an app: loaded once, in the background, and then the runner of its runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Literal, Protocol

from dockrion.adapters import load_agent
from dockrion.adapters.base import Agent
from dockrion.adapters.loading import comes_from_outside, load_failure
from dockrion.adapters.shapes import shapes_of
from dockrion.errors import (
    DockrionError,
    PolicyViolationError,
    ServiceUnavailableError,
    ShuttingDownError,
)
from dockrion.events.filter import EventsFilter
from dockrion.events.jsonable import plain
from dockrion.policy.injection import INJECTION_RULE, InjectionFilter
from dockrion.policy.tools import tool_rules
from dockrion.runs.base import RunRules
from dockrion.runs.log import Clock
from dockrion.runs.runner import LAST_WORD_SECONDS, Runner
from dockrion.runs.schema import Schema
from dockrion.runs.service import RunService
from dockrion.runs.threads import WorkerThreads
from dockrion.runtime.backends import backend_of, run_service
from dockrion.runtime.backends.base import Backend
from dockrion.runtime.backends.opening import UNUSABLE
from dockrion.runtime.gate import OPEN, Gate
from dockrion.runtime.ids import OwnIds
from dockrion.runtime.named_functions import injection_filter, own_ids
from dockrion.runtime.rates import CallRates, call_rates
from dockrion.runtime.run_rules import (
    limits_of,
    outgoing_of,
    output_rules,
    run_tracing,
    sentences_of,
)
from dockrion.runtime.streams import StreamClock
from dockrion.runtime.tracing import tracing_of
from dockrion.runtime.traffic import Traffic
from dockrion.runtime.watchdog import LoopWatchdog
from dockrion.spec import DockSpec, Hider

logger = logging.getLogger(__name__)

# How long a call waits for an agent that is still loading.
LOADING_SECONDS: Final = 30.0
# What an agent gets to close what it has opened.
CLOSING_SECONDS: Final = 10.0

State = Literal["loading", "ready", "failed", "draining"]


class Signals(Protocol):
    """Drains a host when its process is told to end, from `install` to `restore`."""

    def install(self, *, mounted: bool) -> None: ...

    def restore(self) -> None: ...


class SignalsFor(Protocol):
    def __call__(self, host: AgentHost, loop: asyncio.AbstractEventLoop, /) -> Signals: ...


class Session(Protocol):
    """A connection on which its caller starts runs; told to close once none is open."""

    def drain(self) -> None: ...


class AgentHost:
    """`agent` is given when it is in memory already (tests); else it is loaded from what the spec names.

    Without `signals` those of the process are left alone; without `gate`, what runs the agent here has no callers.
    """

    def __init__(
        self,
        spec: DockSpec,
        agent: Agent | None = None,
        *,
        signals: SignalsFor | None = None,
        gate: Gate = OPEN,
        backend: Backend | None = None,
        on_returned: Callable[[Any], None] | None = None,
    ) -> None:
        self.spec: Final = spec
        self.gate: Final = gate
        self.backend: Final = backend_of(spec) if backend is None else backend
        self._signals_for = signals
        # Whether a server of ours looks at `load_error`; else what stops the start is raised in the lifespan.
        self.is_watched = False
        schema = spec.io_schema.input
        self.input_schema: Final = None if schema is None else Schema(schema)
        # What the Dockfile says of itself may hold what variables filled in.
        self.secrets: Final = Hider(spec.secret_values)
        self.timestamps: Final = Clock()
        self.traffic: Final = Traffic()
        self.streams: Final = StreamClock(
            heartbeat_seconds=spec.streaming.events.heartbeat_interval,
            write_seconds=spec.expose.limits.write_timeout,
        )
        # Connections with runs of their own, which close when those have ended.
        self.sessions: Final[set[Session]] = set()
        self._given = agent
        self._outgoing = outgoing_of(spec)
        self._output = output_rules(spec, self._outgoing, on_returned=on_returned)
        self._sentences = sentences_of(spec, self._outgoing)
        self.tracing: Final = tracing_of(spec, self.secrets, self._outgoing)
        self.traffic.tracer = self.tracing.tracer
        self._threads = WorkerThreads(spec.expose.limits.threads)
        self._begin_life()

    def _begin_life(self) -> None:
        """Set what belongs to one start of the app; tests start one app many times."""
        self.runner: Runner | None = None
        # Set with the runner, where the Dockfile asks for it.
        self.injection: InjectionFilter | None = None
        self.ids: OwnIds | None = None
        self.runs: RunService | None = run_service(
            self.spec, self.backend, self.traffic, self.timestamps, self._outgoing
        )
        # Where direct streams are not kept, this is what a request looks at, and all.
        self.kept: RunService | None = (
            self.runs if self.spec.streaming.connection.holds_runs else None
        )
        # Keeps what waits for answers, where they can be given.
        self.answered: RunService | None = self.runs if self.spec.streaming.async_runs else None
        self.rates: CallRates | None = call_rates(self.spec, self.backend.rates)
        self.description: dict[str, Any] | None = None
        # For the agent's author, and cleaned for callers.
        self.load_error: DockrionError | None = None
        self.agent_error: str | None = None
        self.draining = False
        self._agent = self._given
        self._draining = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._watchdog: LoopWatchdog | None = None
        self._signals: Signals | None = None

    @property
    def state(self) -> State:
        if self.draining:
            return "draining"
        if self.runner is not None:
            return "ready"
        return "loading" if self.agent_error is None else "failed"

    @property
    def abandoned_threads(self) -> int:
        return self._threads.abandoned

    def start(self, *, mounted: bool = True) -> None:
        """Begin to load, on the running loop; calling it again does nothing.

        Not `mounted` where the app's own lifespan runs, whose server hands over the process's signals.
        """
        if self._loading is None:
            loop = asyncio.get_running_loop()
            if self._signals_for is not None:
                self._signals = self._signals_for(self, loop)
                self._signals.install(mounted=mounted)
            loop.set_default_executor(self._threads)
            limit_ms = self.spec.expose.limits.block_warning_ms
            self._watchdog = LoopWatchdog(loop, limit_ms / 1000, on_block=self.traffic.blocked)
            self._watchdog.start()
            self.tracing.start()
            self._opening = loop.create_task(self._open())
            self._loading = loop.create_task(self._load())

    async def _open(self) -> None:
        await self.backend.open()
        if self.runs is not None:
            await self.runs.open()

    async def loaded(self) -> bool:
        """Wait until the agent is loaded or has failed to; return whether it is there."""
        self.start()
        assert self._loading is not None
        await asyncio.shield(self._loading)
        return self.runner is not None

    async def backend_opened(self) -> None:
        """Wait until the backend is there; raise what opening it raised."""
        if self._opening is not None:
            await asyncio.shield(self._opening)

    @property
    def _backend_failed(self) -> bool:
        opening = self._opening
        return opening is not None and opening.done() and opening.exception() is not None

    async def wait_for_runner(self) -> Runner:
        """Return the runner, waiting for a loading agent; raise `ServiceUnavailableError`."""
        self.start()
        assert self._loading is not None
        stop = asyncio.get_running_loop().create_task(self._draining.wait())
        try:
            await asyncio.wait(
                {self._loading, stop},
                timeout=LOADING_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            stop.cancel()
        if self.draining:
            raise ShuttingDownError("The server is shutting down.")
        if not self._loading.done():
            raise ServiceUnavailableError("The agent is still loading; try again.")
        if self.runner is None:
            raise ServiceUnavailableError(f"The agent could not be loaded. {self.agent_error}")
        return self.runner

    async def check_injection(self, payload: Any, *, request_id: str | None = None) -> None:
        """Raise `PolicyViolationError`, and count it, where `policies.safety` refuses the payload."""
        assert self.injection is not None
        try:
            await self.injection.check(payload, request_id=request_id)
        except PolicyViolationError:
            self.traffic.violated(INJECTION_RULE)
            raise

    async def own_id(self) -> str:
        """Return an id for a new run that the Dockfile's generator makes; raise `DockrionError`."""
        assert self.ids is not None
        run_id = self.ids.new()
        is_taken = self.runner is not None and self.runner.has(run_id)
        if not is_taken and self.runs is not None:
            is_taken = await self.runs.store.get(run_id) is not None
        if is_taken:
            raise self.ids.refused(f"must be new, got {run_id!r}, which another run has")
        return run_id

    async def drain(self) -> None:
        """Refuse what is new, let what is there end within `shutdown_grace`. Once: a second call waits for the first."""
        self._drain_begun()
        if self._drain is None:
            self._drain = asyncio.get_running_loop().create_task(self._end_runs())
        await asyncio.shield(self._drain)

    async def _end_runs(self) -> None:
        grace = float(self.spec.expose.shutdown_grace)
        began = monotonic()
        for session in tuple(self.sessions):
            session.drain()
        if self.runs is not None:
            self.runs.rest()
        if self.runner is not None:
            await self.runner.shutdown(grace, before_end=self._hand_runs_back)
        if self.runs is not None:
            await self.runs.idle_within(LAST_WORD_SECONDS)
            self.runs.channels.close_readers()
        # The runs are over; their last bytes may still be on their way to slow callers.
        await self.streams.idle_within(max(LAST_WORD_SECONDS, grace - (monotonic() - began)))
        self.streams.give_up_all()

    def _hand_runs_back(self) -> None:
        if self.runs is not None:
            self.runs.hand_back()

    def end_now(self) -> None:
        """End all runs; their streams get a closing event."""
        self._drain_begun()
        self._hand_runs_back()
        if self.runner is not None:
            self.runner.stop_all()

    def _drain_begun(self) -> None:
        self.draining = True
        # Calls that wait for a loading agent hear of it too.
        self._draining.set()

    async def close(self) -> None:
        try:
            await self._close()
        finally:
            if self._signals is not None:
                self._signals.restore()
            self._begin_life()

    async def _close(self) -> None:
        await self.drain()
        for task in (self._opening, self._loading):
            if task is not None and not task.done():
                task.cancel()
        if self.runs is not None:
            await self.runs.close()
        await self.backend.close()
        if self._watchdog is not None:
            self._watchdog.stop()
        self.traffic.close()
        if self._agent is not None and self.runner is not None:
            await _close_agent(self._agent)
        await self.tracing.close()

    async def _load(self) -> None:
        spec = self.spec
        tools = tool_rules(spec.policies)
        try:
            await self.backend_opened()
            agent = self._agent or await load_agent(
                spec.agent,
                folder=spec.folder,
                arguments=spec.arguments,
                shapes=shapes_of(spec),
                tools=tools,
            )
            description = plain(agent.describe())
            injection = await injection_filter(spec)
            ids = await own_ids(spec)
        except (
            BaseException
        ) as exc:  # SystemExit and the like too: one agent does not end the server
            if comes_from_outside(exc):
                raise
            logger.error("agent failed to load", exc_info=exc)
            self.load_error = (
                exc if isinstance(exc, DockrionError) else load_failure("agent: loading it", exc)
            )
            self.agent_error = self._sentences.of_loading(self.load_error.message)
            if self._backend_failed:
                # Where it is, and what is wrong with it, is nothing for callers.
                self.agent_error = UNUSABLE
            return
        if self.draining:
            await _close_agent(agent)
            return
        self._agent, self.description = agent, description
        self.injection, self.ids = injection, ids
        self.tracing.agent_loaded()
        self.traffic.tracer = self.tracing.tracer
        runner = Runner(
            agent,
            RunRules(
                agent_name=spec.agent.name,
                framework=agent.framework,
                output=self._output,
                sentences=self._sentences,
                observer=self.traffic,
                tracing=run_tracing(spec, self.tracing.tracer, framework=agent.framework),
            ),
            threads=self._threads,
            events_filter=EventsFilter(spec.streaming.events.allowed),
            arguments=spec.arguments,
            stages=self._outgoing.stages,
            timestamps=self.timestamps,
            limits=limits_of(spec),
            tools=tools,
        )
        if self.runs is not None:
            await self.runs.work(runner)
        self.runner = runner


async def _close_agent(agent: Agent) -> None:
    """Close what the agent has opened, within `CLOSING_SECONDS`: the end of the process does not depend on it."""
    closing = asyncio.get_running_loop().create_task(_close(agent))
    _, late = await asyncio.wait({closing}, timeout=CLOSING_SECONDS)
    if late:
        closing.cancel()
        logger.warning(
            "agent does not close; it is left as it is", extra={"seconds": CLOSING_SECONDS}
        )


async def _close(agent: Agent) -> None:
    try:
        await agent.close()
    except asyncio.CancelledError:
        pass
    except BaseException as exc:  # SystemExit too: one agent does not end the server
        logger.error("agent failed to close", exc_info=exc)
