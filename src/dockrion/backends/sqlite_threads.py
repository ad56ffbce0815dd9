"""The two threads of a database file: one writes, many callers' work in one transaction; one reads, and looks for news."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any, Final, TypeAlias

from dockrion.backends import sqlite_file
from dockrion.backends.sqlite_errors import is_busy

Work: TypeAlias = Callable[[sqlite3.Connection], Any]
ErrorOf: TypeAlias = Callable[[sqlite3.Error], Exception]

# Of one transaction; another process waits for its end.
_MAX_JOBS: Final = 256
_RETRY_SECONDS: Final = 0.0005
# Until the next look after one that failed.
_FAILED_SECONDS: Final = 1.0


class Job:
    """What one caller wants done; `then` is called on the loop when it is, even if the caller has gone meanwhile.

    Either a task waits for it, by `future`, or a thread, by `done`, or nobody; `then` is a task's.
    """

    __slots__ = ("done", "error", "future", "result", "then", "work")

    def __init__(
        self,
        work: Work,
        *,
        future: asyncio.Future[Any] | None = None,
        then: Callable[[], None] | None = None,
        done: Event | None = None,
    ) -> None:
        self.work = work
        self.future = future
        self.then = then
        self.done = done
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def is_wanted(self) -> bool:
        return self.future is None or not self.future.cancelled()

    def settle(self) -> None:
        future = self.future
        if future is None:
            return
        if self.error is None and self.then is not None:
            # Before whoever waits goes on, and apart from it: what it raises is nobody else's.
            future.get_loop().call_soon(self.then)
        if future.done():
            return
        if self.error is None:
            future.set_result(self.result)
        else:
            future.set_exception(self.error)


class _Worker(ABC):
    """A thread with a connection of its own and a queue. It ends, and closes the connection, when it is told to.

    The thread is a daemon: a process that ends without closing is not held up, and what it had confirmed is kept.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        error_of: ErrorOf,
        *,
        name: str,
    ) -> None:
        self._db = db
        self._loop = loop
        self._error_of = error_of
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def end(self) -> None:
        """Do what is queued, then end; blocks."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (jobs := self._take()) is not None:
                self._do(jobs)
        finally:
            with suppress(sqlite3.Error):
                self._db.close()

    def _take(self, timeout: float | None = None) -> list[Job] | None:
        """Wait for work and return all that is there; None at the end."""
        try:
            job = self._jobs.get(timeout=timeout)
        except Empty:
            return []
        jobs: list[Job] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == _MAX_JOBS or self._jobs.empty():
                return jobs
            job = self._jobs.get()
        if jobs:
            self._jobs.put(None)
            return jobs
        return None

    def _do(self, jobs: list[Job]) -> None:
        try:
            self._transact(jobs)
        except sqlite3.Error as exc:
            self._roll_back()
            error = self._error_of(exc)
            for job in jobs:
                job.error = error
        for job in jobs:
            if job.done is not None:
                job.done.set()
        self._on_loop(_settle, jobs)

    @abstractmethod
    def _transact(self, jobs: list[Job]) -> None:
        """Do all in one transaction."""

    def _roll_back(self) -> None:
        # SQLite has done so itself after some errors.
        if self._db.in_transaction:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        # A closed loop has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)


class Writer(_Worker):
    """Its connection must not wait for locks by itself."""

    def _transact(self, jobs: list[Job]) -> None:
        db = self._db
        self._begin()
        db.execute("UPDATE commits SET number = number + 1")
        for job in jobs:
            if job.is_wanted:
                self._write(job)
        db.execute("COMMIT")

    def _begin(self) -> None:
        """Wait for other processes; SQLite's own wait soon sleeps for 25 ms and more, whatever they take."""
        ends = monotonic() + sqlite_file.BUSY_SECONDS
        while True:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as exc:
                if not is_busy(exc) or monotonic() >= ends:
                    raise
            sleep(_RETRY_SECONDS)

    def _write(self, job: Job) -> None:
        """Do one caller's work, or nothing of it."""
        db = self._db
        db.execute("SAVEPOINT job")
        try:
            job.result = job.work(db)
        except Exception as exc:
            if not db.in_transaction:
                # SQLite has undone the work of all, as it does when a disk is full.
                raise exc if isinstance(exc, sqlite3.Error) else sqlite3.Error() from exc
            db.execute("ROLLBACK TO job")
            job.error = self._error_of(exc) if isinstance(exc, sqlite3.Error) else exc
        db.execute("RELEASE job")


class Look:
    """What a reader looks for: `news` gets the number of a commit and returns what came after it, `tell` gets that."""

    __slots__ = ("news", "tell")

    def __init__(
        self, news: Callable[[sqlite3.Connection, int], Any], tell: Callable[[Any], None]
    ) -> None:
        self.news = news
        self.tell = tell


class Reader(_Worker):
    """Also looks for what others have written, every so many seconds while it is told to."""

    _look: Look | None = None
    _seconds = 0.0
    _next = 0.0
    _version = -1
    _seen = 0

    def pace(self, look: Look | None, seconds: float) -> None:
        """Look from now on, or no more. What is submitted after this is done after the first look."""
        self.submit(Job(lambda db: self._set_pace(db, look, seconds)))

    def _set_pace(self, db: sqlite3.Connection, look: Look | None, seconds: float) -> None:
        if look is not None and self._look is None:
            self._version = -1
            self._seen = _commits(db)
        self._look = look
        self._seconds = seconds
        self._next = min(self._next, monotonic() + seconds)

    def _take(self, timeout: float | None = None) -> list[Job] | None:
        if self._look is not None:
            timeout = max(0.0, self._next - monotonic())
        return super()._take(timeout)

    def _do(self, jobs: list[Job]) -> None:
        if jobs:
            super()._do(jobs)
        if self._look is not None and monotonic() >= self._next:
            self._next = monotonic() + self._seconds
            try:
                self._look_for_news(self._look)
            except sqlite3.Error as exc:
                self._roll_back()
                # It is logged, so not hundreds of times a second.
                self._error_of(exc)
                self._next = monotonic() + _FAILED_SECONDS

    def _look_for_news(self, look: Look) -> None:
        db = self._db
        # Says in a few microseconds whether anybody has written.
        version = db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        db.execute("BEGIN")
        commits = _commits(db)
        news = look.news(db, self._seen)
        db.execute("COMMIT")
        self._version = version
        self._seen = commits
        if news:
            self._on_loop(look.tell, news)

    def _transact(self, jobs: list[Job]) -> None:
        db = self._db
        db.execute("BEGIN")
        for job in jobs:
            if job.is_wanted:
                try:
                    job.result = job.work(db)
                except Exception as exc:
                    job.error = self._error_of(exc) if isinstance(exc, sqlite3.Error) else exc
        db.execute("COMMIT")


def _commits(db: sqlite3.Connection) -> int:
    return db.execute("SELECT number FROM commits").fetchone()[0]


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        job.settle()
