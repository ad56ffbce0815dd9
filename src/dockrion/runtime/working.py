"""Executing the async runs of a Dockfile's agent in a process that serves nobody."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dockrion.errors import ValidationError
from dockrion.runtime.backends import place_of_runs
from dockrion.runtime.dockfile import enter, read_for_agent
from dockrion.runtime.host import AgentHost
from dockrion.runtime.logfile import log_path
from dockrion.runtime.logs import keep_log
from dockrion.runtime.loop import new_loop, run_to_end
from dockrion.runtime.shutdown import SIGNALS, DrainOnSignal
from dockrion.spec import (
    METRICS_FOLDER,
    Dockfile,
    DockSpec,
    process_setting,
)

# For what ends the process in order, after a second signal.
_FORCED_SECONDS: Final = 1.0


def work_for_dockfile(
    path: Path,
    *,
    env_file: Path | None = None,
    on_read: Callable[[Dockfile], None] = lambda _: None,
) -> None:
    """Execute runs until SIGTERM or Ctrl-C; raise `DockrionError` where that cannot be done.

    `on_read` gets the Dockfile when it has been read and is valid.
    """
    dockfile = read_for_agent(path, env_file=env_file)
    spec = dockfile.spec
    keep_log(log_path(spec.folder, spec.agent.name))
    refuse_runs_of_nobody(spec)
    on_read(dockfile)
    enter(dockfile)
    Worker(spec, on_ready=lambda: _greet(spec)).work()


def refuse_runs_of_nobody(spec: DockSpec) -> None:
    """Raise `ValidationError` where no other process can leave a run for this one."""
    if spec.streaming.backend == "memory":
        error = ValidationError(
            "streaming.backend: memory: the runs of a server are in its own memory, where a worker does not see them"
        )
        error.add_note("set it to sqlite (for processes of one machine) or redis")
        raise error
    if not spec.streaming.async_runs:
        error = ValidationError("streaming.async_runs: false: there are no runs for a worker")
        error.add_note("a server alone is enough; or set it to true")
        raise error


class Worker:
    """A host without an app. Its first signal drains it, the second one ends it at once, as with a server."""

    def __init__(self, spec: DockSpec, *, on_ready: Callable[[], None]) -> None:
        self._host = AgentHost(_executing(spec), signals=DrainOnSignal)
        if process_setting(METRICS_FOLDER) is not None:
            # A server that shares the folder tells its numbers, too.
            from dockrion.runtime.metrics import Metrics

            Metrics(self._host)
        self._on_ready = on_ready
        self._loop = new_loop()
        self._told = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    def work(self) -> None:
        """Work until a signal; raise what loading the agent or opening the backend raised."""
        with self._signals_stop():
            run_to_end(self._loop, self._work())

    async def _work(self) -> None:
        self._working = asyncio.current_task()
        try:
            await self._until_told()
        except asyncio.CancelledError:
            if not self._told.is_set():
                raise

    async def _until_told(self) -> None:
        host = self._host
        host.start(mounted=False)
        try:
            await self._until_loaded()
            if host.load_error is not None:
                raise host.load_error
            if not self._told.is_set():
                # As in a server: what is loaded by now stays.
                gc.freeze()
                self._on_ready()
            await self._told.wait()
        finally:
            await host.close()

    async def _until_loaded(self) -> None:
        loading = self._loop.create_task(self._host.loaded())
        told = self._loop.create_task(self._told.wait())
        _, late = await asyncio.wait({loading, told}, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()

    @contextmanager
    def _signals_stop(self) -> Generator[None]:
        """Let SIGTERM and Ctrl-C stop the work. The host's own handlers come first, and hand over to these."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed: it is over already
                self._loop.call_soon_threadsafe(self._stop)

        before = {number: signal.signal(number, stop) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self) -> None:
        if self._told.is_set() and self._working is not None:
            # A second signal.
            self._loop.call_later(_FORCED_SECONDS, self._working.cancel)
        self._told.set()


def _executing(spec: DockSpec) -> DockSpec:
    """Return the spec of a process that executes: what `streaming.worker` says is for those that serve."""
    streaming = spec.streaming.model_copy(update={"worker": True})
    return spec.model_copy(update={"streaming": streaming})


def _greet(spec: DockSpec) -> None:
    text = (
        f"{spec.agent.name} works on the runs in {place_of_runs(spec)}, "
        f"{spec.runs.concurrency} at once; Ctrl-C ends it"
    )
    with suppress(OSError):  # one whose standard error takes nothing works all the same
        print(text, file=sys.stderr, flush=True)  # noqa: T201  (for the person, not for the log)
