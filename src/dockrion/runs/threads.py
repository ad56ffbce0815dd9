"""Worker threads for sync agents, sync nodes and tools."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeAlias, TypeVar

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThreads(ThreadPoolExecutor):
    """Up to `limit` daemon threads, started as needed; a job past the limit queues.

    Daemon threads, because the standard pool joins its threads when the process ends, and one agent that
    blocks for an hour would keep the process for an hour. It is a `ThreadPoolExecutor` only because event
    loops accept nothing else as their default executor; unlike that one it works again after `shutdown`.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(max_workers=limit)
        self._limit = limit
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._unfinished = 0
        # Threads that are there or about to be, and those that are there.
        self._started = 0
        self._alive = 0
        self._queued: set[Job] = set()
        # By the thread that is at them.
        self._running: dict[int, Job] = {}
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
        """Run `call`, which must not raise, in a thread; raise `RuntimeError` when there can be none."""
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
            except (StopIteration, GeneratorExit) as exc:
                # asyncio's futures refuse the one, so that whoever awaits would wait for ever, and the other one closes
                # the coroutine that awaits; PEP 479 has this answer.
                error = RuntimeError(f"a call in a thread raised {type(exc).__name__}")
                error.__cause__ = exc
                future.set_exception(error)
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
            # What is started later has threads of its own, and a queue in which nobody is told to end.
            self._jobs = SimpleQueue()
            self._started = self._alive = 0

    def abandon(self, job: Job) -> None:
        with self._mutex:
            if job in self._running.values():
                self._abandoned.add(job)

    def _start(self, job: Job) -> None:
        with self._mutex:
            jobs = self._jobs
            self._unfinished += 1
            self._queued.add(job)
            grow = self._unfinished > self._started and self._started < self._limit
            self._started += grow
            number = self._started
        jobs.put(job)
        if grow:
            self._add_thread(jobs, number, job)

    def _add_thread(self, jobs: Jobs, number: int, job: Job) -> None:
        """Start one more thread; where the system allows no more, those that are there must do, if any are."""
        name = f"dockrion-worker-{number}"
        try:
            threading.Thread(target=self._work, args=(jobs,), name=name, daemon=True).start()
        except RuntimeError:
            with self._mutex:
                self._started -= jobs is self._jobs
                if self._alive or job not in self._queued:
                    logger.warning("no further worker thread can be started; jobs wait")
                    return
                self._queued.discard(job)
                self._unfinished -= 1
                # Nobody is there to take it out of the queue, which would grow with each that is refused.
                with contextlib.suppress(Empty):
                    while True:
                        jobs.get_nowait()
                self._put_queued(jobs)
            raise
        with self._mutex:
            self._alive += 1

    def _work(self, jobs: Jobs) -> None:
        while True:
            try:
                self._serve(jobs)
            except BaseException as exc:
                # No job raises: `PyThreadState_SetAsyncExc` has thrown it in, for a job that was over already.
                logger.warning("an exception was thrown into a worker thread", exc_info=exc)
                self._recover(jobs)
            else:
                return

    def _serve(self, jobs: Jobs) -> None:
        while True:
            job = jobs.get()
            if job is None:
                return
            if self._take(job):
                try:
                    job.run()
                finally:
                    self._finish()
            # Nothing of a finished job, its run and its output, lives on in an idle thread.
            del job

    def _take(self, job: Job) -> bool:
        with self._mutex:
            if job not in self._queued:
                return False
            self._running[threading.get_ident()] = job
            self._queued.discard(job)
        return True

    def _finish(self) -> None:
        with self._mutex:
            job = self._running.pop(threading.get_ident(), None)
            if job is not None:
                self._unfinished -= 1
                self._abandoned.discard(job)

    def _recover(self, jobs: Jobs) -> None:
        """Set right what the exception may have cut short: the end of a job, or the taking of one."""
        self._finish()
        with self._mutex:
            # Which of them it had in its hands is not known.
            self._put_queued(jobs)

    def _put_queued(self, jobs: Jobs) -> None:
        """Put all that wait into the queue; one that is in it twice is taken once."""
        for job in self._queued:
            jobs.put(job)


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


Jobs: TypeAlias = SimpleQueue[Job | None]


class _JobFuture(Future[T]):
    job: Job | None = None

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if not cancelled and self.job is not None:
            self.job.cancel()
        return cancelled
