"""A database file that the processes of one machine share."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar

from dockrion.backends.base import BackendError
from dockrion.backends.sqlite_errors import error_in_use
from dockrion.backends.sqlite_file import BUSY_SECONDS, open_file
from dockrion.backends.sqlite_threads import Job, Look, Reader, Writer

T = TypeVar("T")

# Longer than another process may lock the file, so that the error that says so comes first.
_ANSWER_SECONDS: Final = 2 * BUSY_SECONDS
_SILENCE: Final = "The database file does not answer; it is locked, or its disk is stuck."


class Database:
    """A SQLite file in WAL mode, used on one event loop; it and its folder are made when they are missing.

    Work is a function that gets a connection and runs in a thread. What is asked to be written while a transaction
    goes on is written together in the next one: that makes many small writes a second cheap. Once `write` returns,
    its work is there for all processes and survives the end of them, `kill -9` too. It is not forced onto the disk
    each time (`synchronous = NORMAL`): a power cut or a crash of the system may cost the last seconds, in whole
    transactions, and never damages the file.

    The file must be on a disk of this machine. On a network file system locks and shared memory do not work, and
    processes damage each other's data; it cannot be told from here whether it is on one.

    All raise `BackendError` when the file cannot be used; then the work is done or not, and never in part.
    """

    def __init__(self, path: Path, *, field: str = "streaming.sqlite.path") -> None:
        self._path = path
        self._field = field
        self._threads: tuple[Writer, Reader] | None = None
        self._inode = 0
        self._look: Look | None = None
        self._seconds = 0.0
        self._users = 0

    async def open(self) -> None:
        """Raise also `ValidationError` for what has to be changed before it can work.

        It may be opened by several, one after the other, and is closed by the last one.
        """
        self._users += 1
        if self._users > 1:
            return
        try:
            await self._begin()
        except BaseException:
            self._users = 0
            raise

    async def _begin(self) -> None:
        writer, reader = await asyncio.to_thread(open_file, self._path, self._field)
        self._inode = self._path.stat().st_ino
        loop = asyncio.get_running_loop()
        self._threads = (
            Writer(writer, loop, self._error_of, name="dockrion-sqlite-writer"),
            Reader(reader, loop, self._error_of, name="dockrion-sqlite-reader"),
        )

    async def close(self) -> None:
        """Finish what has been asked for, end the threads and close the file."""
        self._users = max(0, self._users - 1)
        if self._users:
            return
        threads, self._threads = self._threads, None
        self._look = None
        for thread in reversed(threads or ()):
            await asyncio.to_thread(thread.end)

    async def make(self, tables: Sequence[str]) -> None:
        """Carry out statements that make what is not there yet."""

        def make_all(db: sqlite3.Connection) -> None:
            for statement in tables:
                db.execute(statement)

        await self.write(make_all)

    async def check(self) -> None:
        """Raise `BackendError` when the file cannot be written now."""
        await self.write(lambda _: None)
        try:
            is_same = self._path.stat().st_ino == self._inode
        except OSError:
            is_same = False
        if not is_same:
            raise BackendError("The database file has been moved or replaced; restart the server.")

    async def write(
        self, work: Callable[[sqlite3.Connection], T], *, then: Callable[[], None] | None = None
    ) -> T:
        """Do the work in a transaction, whole or, when it raises, not at all; return or raise what it does.

        `(SELECT number FROM commits)` is the number of the transaction. `then` is called once it is done, before
        this returns, and also when this does not because it has been cancelled.
        """
        future = asyncio.get_running_loop().create_future()
        self._writer.submit(Job(work, future=future, then=then))
        return await _answer(future)

    def write_from_thread(self, work: Callable[[sqlite3.Connection], T], *, seconds: float) -> T:
        """Do as `write` does, in a thread that is not the event loop's, and wait so long for it."""
        done = Event()
        job = Job(work, done=done)
        self._writer.submit(job)
        if not done.wait(seconds):
            raise BackendError(_SILENCE)
        if job.error is not None:
            raise job.error
        return job.result

    def write_later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Do the work some time, if it can be done."""
        if self._threads is not None:
            self._threads[0].submit(Job(work))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do the work in a transaction that sees all that has been written before."""
        future = asyncio.get_running_loop().create_future()
        self._reader.submit(Job(work, future=future))
        return await _answer(future)

    def watch(
        self,
        news: Callable[[sqlite3.Connection, int], T],
        tell: Callable[[T], None],
        *,
        seconds: float,
    ) -> None:
        """Look every so many seconds whether anybody has written, this process too.

        Then `news` is called in the reader's thread, with the number of a transaction: it returns what came after that
        one. If that is something, `tell` gets it on the event loop. All that is written after the next `read` has
        returned is seen. A second call replaces the first.
        """
        self._look = Look(news, tell)
        self._reader.pace(self._look, seconds)

    def unwatch(self) -> None:
        if self._look is not None:
            self._look = None
            self._reader.pace(None, 0.0)

    @property
    def _writer(self) -> Writer:
        return self._open_threads()[0]

    @property
    def _reader(self) -> Reader:
        return self._open_threads()[1]

    def _open_threads(self) -> tuple[Writer, Reader]:
        if self._threads is None:
            raise BackendError("The database file is closed.")
        return self._threads

    def _error_of(self, error: sqlite3.Error) -> BackendError:
        return error_in_use(error, self._path)


async def _answer(future: asyncio.Future[Any]) -> Any:
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await future
    except TimeoutError as exc:
        raise BackendError(_SILENCE) from exc
