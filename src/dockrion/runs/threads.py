"""Worker threads for sync agents, sync nodes and tools."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThreads(ThreadPoolExecutor):
    """Up to `limit` daemon threads, started as needed; a job past the limit queues.

    Daemon threads, because the standard pool joins its threads when the process ends, and one agent that
    blocks for an hour would keep the process for an hour. It is a `ThreadPoolExecutor` only because event
    loops accept nothing else as their default executor.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(max_workers=limit)
        self._limit = limit
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._unfinished = 0
        self._started = 0
        self._running: set[Job] = set()
        self._abandoned: set[Job] = set()

    @property
    def has_room(self) -> bool:
        """Whether a job that is started now runs at once."""
        return self._unfinished < self._limit

    @property
    def abandoned(self) -> int:
        """Jobs that keep their thread although nobody waits for them any more."""
        return len(self._abandoned)

    def start(self, call: Callable[[], object]) -> Job:
        """Run `call`, which must not raise, in a thread."""
        job = Job(self, call)
        self._start(job)
        return job

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: _JobFuture[T] = _JobFuture()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        future.job = Job(self, call)
        self._start(future.job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let idle threads end; does not wait for those that work."""
        with self._mutex:
            for _ in range(self._started):
                self._jobs.put(None)

    def abandon(self, job: Job) -> None:
        with self._mutex:
            if job in self._running:
                self._abandoned.add(job)

    def _start(self, job: Job) -> None:
        with self._mutex:
            self._unfinished += 1
            grow = self._unfinished > self._started and self._started < self._limit
            self._started += grow
            number = self._started
        self._jobs.put(job)
        if grow:
            name = f"dockrion-worker-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            with self._mutex:
                self._running.add(job)
            try:
                job.run()
            finally:
                with self._mutex:
                    self._unfinished -= 1
                    self._running.discard(job)
                    self._abandoned.discard(job)
                # Nothing of a finished job, its run and its output, lives on in an idle thread.
                del job


class Job:
    """A call that a thread makes, or will make."""

    __slots__ = ("_call", "_threads")

    def __init__(self, threads: WorkerThreads, call: Callable[[], object]) -> None:
        self._threads = threads
        self._call: Callable[[], object] | None = call

    def run(self) -> None:
        # Let go of first: the call has a run, and the run has this job.
        call, self._call = self._call, None
        if call is not None:
            call()

    def cancel(self) -> None:
        """Wait for it no more; a thread that is at it already goes on."""
        self._threads.abandon(self)


class _JobFuture(Future[T]):
    job: Job | None = None

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if not cancelled and self.job is not None:
            self.job.cancel()
        return cancelled
