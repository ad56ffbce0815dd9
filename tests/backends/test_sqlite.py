"""A database file: work is whole or not at all, many writes are one transaction, what is wrong is named."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from threading import Event

import anyio
import pytest

from dockrion.backends import sqlite_file
from dockrion.backends.base import BackendError
from dockrion.backends.sqlite import Database
from dockrion.errors import ValidationError
from tests.contracts.run_stores import Calls, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "runs.db"


@pytest.fixture
async def database(path: Path) -> AsyncGenerator[Database]:
    opened = Database(path)
    await opened.open()
    await opened.write(lambda db: db.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)"))
    yield opened
    await opened.close()


async def numbers(database: Database) -> list[int]:
    return await database.read(
        lambda db: [n for (n,) in db.execute("SELECT n FROM t ORDER BY n").fetchall()]
    )


async def commits(database: Database) -> int:
    return await database.read(lambda db: db.execute("SELECT number FROM commits").fetchone()[0])


def add(number: int):
    return lambda db: db.execute("INSERT INTO t VALUES (?)", (number,)).rowcount


class Held:
    """Keeps the writer's thread busy until it is let go, so that what is asked for meanwhile is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begun, self._end = Event(), Event()

    async def __aenter__(self) -> None:
        def wait(_: sqlite3.Connection) -> None:
            self._begun.set()
            self._end.wait(10)

        self._database.write_later(wait)
        await asyncio.to_thread(self._begun.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        self._end.set()


# Work


async def test_what_is_written_can_be_read(database: Database) -> None:
    assert await database.write(add(1)) == 1
    assert await numbers(database) == [1]


async def test_what_is_asked_for_meanwhile_is_written_in_one_transaction(
    database: Database,
) -> None:
    before = await commits(database)
    async with anyio.create_task_group() as tasks:
        async with Held(database):
            for number in range(50):
                tasks.start_soon(database.write, add(number))
            await anyio.sleep(0.01)
    assert await numbers(database) == list(range(50))
    assert await commits(database) == before + 2


async def test_work_that_fails_is_undone_and_takes_no_other_along(database: Database) -> None:
    def fail(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (100)")
        raise LookupError("no")

    def clash(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (200)")
        db.execute("INSERT INTO t VALUES (1)")

    raised: list[Exception] = []

    async def expect(work, error: type[Exception]) -> None:
        with pytest.raises(error) as caught:
            await database.write(work)
        raised.append(caught.value)

    async with anyio.create_task_group() as tasks:
        async with Held(database):
            tasks.start_soon(database.write, add(1))
            tasks.start_soon(expect, fail, LookupError)
            tasks.start_soon(database.write, add(2))
            tasks.start_soon(expect, clash, BackendError)
            tasks.start_soon(database.write, add(3))
            await anyio.sleep(0.01)
    assert len(raised) == 2
    assert await numbers(database) == [1, 2, 3]


async def test_who_is_cancelled_may_have_written_and_others_hear_of_it(database: Database) -> None:
    told = Calls()
    with anyio.CancelScope() as scope:
        begun = Event()

        def slow(db: sqlite3.Connection) -> None:
            begun.set()
            add(1)(db)

        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                await database.write(slow, then=told)

            tasks.start_soon(write)
            await anyio.sleep(0)
            # Not a turn of the loop for the answer.
            begun.wait(10)
            scope.cancel()
    await told.come()
    assert await numbers(database) == [1]


async def test_a_callback_that_raises_holds_up_nobody(database: Database) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    order: list[str] = []

    async def write(name: str, then) -> None:
        await database.write(lambda _: None, then=then)
        order.append(name)

    def fail() -> None:
        order.append("told")
        raise LookupError("no")

    async with anyio.create_task_group() as tasks:
        async with Held(database):
            tasks.start_soon(write, "a", fail)
            tasks.start_soon(write, "b", None)
            await anyio.sleep(0.01)
    assert order == ["told", "a", "b"]
    assert len(problems) == 1


async def test_who_is_cancelled_before_its_turn_has_written_nothing(database: Database) -> None:
    async with Held(database):
        with anyio.move_on_after(0.01):
            await database.write(add(1))
    await database.write(add(2))
    assert await numbers(database) == [2]


async def test_a_reader_sees_one_moment(database: Database) -> None:
    await database.write(add(1))
    begun, go_on = Event(), Event()

    def twice(db: sqlite3.Connection) -> tuple[int, int]:
        count = "SELECT count(*) FROM t"
        first = db.execute(count).fetchone()[0]
        begun.set()
        go_on.wait(10)
        return first, db.execute(count).fetchone()[0]

    async with anyio.create_task_group() as tasks:

        async def check() -> None:
            assert await database.read(twice) == (1, 1)

        tasks.start_soon(check)
        await asyncio.to_thread(begun.wait, 10)
        await database.write(add(2))
        go_on.set()
    assert await numbers(database) == [1, 2]


async def test_a_thread_may_write_and_does_not_wait_for_ever(database: Database) -> None:
    def write() -> int:
        return database.write_from_thread(add(1), seconds=10)

    assert await asyncio.to_thread(write) == 1
    async with Held(database):
        with pytest.raises(BackendError, match="does not answer"):
            await asyncio.to_thread(database.write_from_thread, add(2), seconds=0.01)
    with pytest.raises(BackendError):
        await asyncio.to_thread(database.write_from_thread, add(1), seconds=10)


# Opening and closing


async def test_the_file_and_its_folder_are_made_for_their_owner_alone(path: Path) -> None:
    database = Database(path)
    await database.open()
    await database.check()
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0
    await database.close()


async def test_closing_ends_the_threads_and_keeps_what_was_asked_for(path: Path) -> None:
    before = threading.active_count()
    database = Database(path)
    await database.open()
    await database.write(lambda db: db.execute("CREATE TABLE t (n INTEGER)"))
    database.write_later(add(1))
    await database.close()
    await database.close()
    # The threads of `asyncio.to_thread` stay.
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if "sqlite" in name], before
    with pytest.raises(BackendError, match="closed"):
        await database.write(add(2))
    with pytest.raises(BackendError, match="closed"):
        await database.read(lambda _: None)
    await database.open()
    assert await numbers(database) == [1]
    await database.close()


async def test_many_may_make_the_file_at_once(path: Path) -> None:
    databases = [Database(path) for _ in range(8)]
    async with anyio.create_task_group() as tasks:
        for database in databases:
            tasks.start_soon(database.open)
    for database in databases:
        await database.check()
    for database in databases:
        await database.close()


def test_a_process_that_does_not_close_ends_all_the_same(path: Path) -> None:
    code = """if True:
        import asyncio, sys
        from pathlib import Path
        from dockrion.backends.sqlite import Database

        async def main():
            database = Database(Path(sys.argv[1]))
            await database.open()
            await database.write(lambda db: db.execute("CREATE TABLE t (n INTEGER)"))
            await database.write(lambda db: db.execute("INSERT INTO t VALUES (7)"))
            database.watch(lambda db, commit: None, print, seconds=0.001)

        asyncio.run(main())
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT n FROM t").fetchall() == [(7,)]


async def test_opening_it_twice_in_one_process_keeps_the_first_ones_locks(path: Path) -> None:
    # Whoever opens and closes the file past SQLite lets go of them; then the next process that closes it takes the
    # log of writes away from under all others.
    first, second = Database(path), Database(path)
    await first.open()
    await first.write(lambda db: db.execute("CREATE TABLE t (n INTEGER)"))
    await second.open()
    assert await asyncio.to_thread(_count_elsewhere, path) == 0
    for number in range(5):
        await first.write(add(number))
        await second.write(add(number))
    assert await asyncio.to_thread(_count_elsewhere, path) == 10
    await first.close()
    await second.close()


def _count_elsewhere(path: Path) -> int:
    code = (
        "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]);"
        " print(db.execute('SELECT count(*) FROM t').fetchone()[0]); db.close()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=True, timeout=30
    )
    return int(found.stdout)


# What is wrong


async def refused(path: Path) -> str:
    database = Database(path)
    with pytest.raises(ValidationError) as raised:
        await database.open()
    assert raised.value.message.startswith("streaming.sqlite.path: ")
    assert "\n" not in raised.value.message
    return raised.value.message


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    message = await refused(tmp_path / "data" / "deep" / "runs.db")
    assert str(tmp_path / "data" / "deep") in message
    assert "cannot be made" in message


async def test_a_folder_is_no_file(tmp_path: Path) -> None:
    message = await refused(tmp_path)
    assert str(tmp_path) in message
    assert "directory" in message


async def test_what_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping list\n" * 100)
    assert "is no SQLite database" in await refused(path)
    assert path.read_text() == "shopping list\n" * 100


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (n INTEGER)")
    before = path.read_bytes()
    assert "another program" in await refused(path)
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_release_is_left_alone(path: Path) -> None:
    database = Database(path)
    await database.open()
    await database.close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    message = await refused(path)
    assert "newer release" in message
    assert "99" in message


async def test_a_locked_file_is_named(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    second = Database(path)
    await second.open()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendError, match="locked") as raised:
            await second.write(add(1))
        assert str(path) not in raised.value.message
        with pytest.raises(BackendError, match="locked"):
            await second.check()
        assert await numbers(second) == []
        third = Database(path)
        with pytest.raises(BackendError, match="locked") as at_open:
            await third.open()
        assert str(path) in at_open.value.message
    await second.write(add(1))
    await second.check()
    await second.close()


async def test_a_full_disk_is_named_and_over_when_there_is_room(database: Database) -> None:
    await database.write(lambda db: db.execute("CREATE TABLE big (body BLOB)"))

    def limit(db: sqlite3.Connection, pages: int) -> None:
        db.execute(f"PRAGMA max_page_count = {pages}").fetchall()

    def fill(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO big VALUES (zeroblob(1000000))")

    await database.write(lambda db: limit(db, 1))
    with pytest.raises(BackendError, match="disk is full"):
        await database.write(fill)
    await database.write(lambda db: limit(db, 100_000))
    await database.write(fill)
    assert await database.read(lambda db: db.execute("SELECT count(*) FROM big").fetchone()) == (1,)


async def test_a_file_that_cannot_be_written_is_named(database: Database) -> None:
    await database.write(lambda db: db.execute("PRAGMA query_only = on") and None)
    with pytest.raises(BackendError, match="read-only"):
        await database.check()


async def test_a_damaged_file_is_named(path: Path) -> None:
    database = Database(path)
    await database.open()
    await database.write(lambda db: db.execute("CREATE TABLE big (body BLOB)"))
    for _ in range(20):
        await database.write(lambda db: db.execute("INSERT INTO big VALUES (zeroblob(50000))"))
    await database.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(BackendError, match="damaged"):
        await Database(path).open()


async def test_a_file_that_was_replaced_is_noticed(database: Database, path: Path) -> None:
    path.rename(path.with_suffix(".old"))
    with pytest.raises(BackendError, match="moved or replaced"):
        await database.check()


# News


async def test_news_come_from_other_connections_until_nobody_wants_them(
    database: Database, path: Path
) -> None:
    other = Database(path)
    await other.open()
    told = Calls()

    def news(db: sqlite3.Connection, commit: int) -> list[int]:
        return [n for (n,) in db.execute("SELECT n FROM t WHERE n > ?", (commit,)).fetchall()]

    database.watch(news, told, seconds=0.001)
    await database.read(lambda _: None)
    await other.write(add(1000))
    await told.come()
    assert told.seen[0] == [1000]
    seen = len(told.seen)
    database.unwatch()
    await database.read(lambda _: None)
    await other.write(add(1001))
    database.watch(news, told, seconds=0.001)
    await other.write(add(1002))
    await until(lambda: any(1002 in one for one in told.seen[seen:]))  # pyright: ignore[reportOperatorIssue]
    await other.close()
