"""Worker threads for sync agents, sync nodes and tools."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

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
        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._mutex = threading.Lock()
        self._unfinished = 0
        self._started = 0

    @property
    def has_room(self) -> bool:
        """Whether a job that is started now runs at once."""
        return self._unfinished < self._limit

    @property
    def waiting(self) -> int:
        """Jobs that queue."""
        return max(0, self._unfinished - self._limit)

    def start(self, job: Callable[[], object]) -> None:
        """Run `job`, which must not raise, in a thread."""
        with self._mutex:
            self._unfinished += 1
            grow = self._unfinished > self._started and self._started < self._limit
            self._started += grow
            number = self._started
        self._jobs.put(job)
        if grow:
            name = f"dockrion-worker-{number}"
            threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)

        self.start(job)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let idle threads end; does not wait for those that work."""
        with self._mutex:
            for _ in range(self._started):
                self._jobs.put(None)

    def _work(self) -> None:
        while True:
            job: Any = self._jobs.get()
            if job is None:
                return
            try:
                job()
            finally:
                # Nothing of a finished job, its run and its output, lives on in an idle thread.
                del job
                with self._mutex:
                    self._unfinished -= 1
