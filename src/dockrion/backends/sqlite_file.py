"""Opening a database file: making it, telling ours from others', the settings of each connection."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep
from typing import Final

from dockrion.backends.sqlite_errors import error_at_open, is_busy
from dockrion.errors import ValidationError

# In the file's header: whose it is ("dock"), and which release's tables are in it.
APPLICATION_ID: Final = 0x646F636B
FILE_VERSION: Final = 1
# How long another process may have the file to itself.
BUSY_SECONDS: Final = 5.0
# A checkpoint is two calls of fsync; with 16 MB between them a burst of events does not wait for the disk all the time.
_CHECKPOINT_PAGES: Final = 4000
_MAX_WAL_BYTES: Final = 64 << 20


def open_file(path: Path, field: str) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return two connections, to write (it does not wait for locks) and to read; blocks.

    Raises `ValidationError` for what has to be changed and `BackendError` for what may pass, naming `field`.
    """
    _make(path, field)
    ends = monotonic() + BUSY_SECONDS
    while True:
        try:
            return _open(path, field)
        except sqlite3.Error as exc:
            # Changing to WAL does not wait for a lock by itself, and several processes may start on a new file at once.
            if not is_busy(exc) or monotonic() >= ends:
                raise error_at_open(exc, path, field) from exc
        sleep(0.01)


def _make(path: Path, field: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_folder, is_there = path.is_dir(), path.exists()
    except OSError as exc:
        raise ValidationError(
            f"{field}: the folder {str(path.parent)!r} cannot be made or entered: {exc.strerror}"
        ) from exc
    if is_folder:
        raise ValidationError(f"{field}: {str(path)!r} is a directory; name a file")
    if is_there and not os.access(path, os.R_OK | os.W_OK):
        raise ValidationError(f"{field}: {str(path)!r} may not be read and written by this process")


def _open(path: Path, field: str) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    # Only SQLite may open it: to close a file lets go of all locks that this process has on it, SQLite's too.
    is_new = not path.exists()
    writer = _connect(path)
    try:
        if is_new:
            # Payloads and outputs will be in it; what SQLite puts beside it gets the same mode.
            path.chmod(0o600)
        _prepare(writer, path, field)
        writer.execute("PRAGMA busy_timeout = 0")
        return writer, _connect(path)
    except BaseException:
        writer.close()
        raise


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {_MAX_WAL_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path, field: str) -> None:
    # As of one moment: another process may be making it.
    db.execute("BEGIN")
    is_ours = _value(db, "PRAGMA application_id") == APPLICATION_ID
    is_empty = not _value(db, "SELECT count(*) FROM sqlite_master")
    db.execute("COMMIT")
    if not is_ours:
        if not is_empty:
            raise ValidationError(
                f"{field}: {str(path)!r} is the database of another program; name another file"
            )
        # Only in a file without pages, so before WAL.
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    version = _value(db, "PRAGMA user_version")
    if version > FILE_VERSION:
        raise ValidationError(
            f"{field}: {str(path)!r} has been written by a newer release of dockrion (format"
            f" {version}, this one knows {FILE_VERSION}); use that release, or name another file"
        )
    with closing(db.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("CREATE TABLE IF NOT EXISTS commits (number INTEGER NOT NULL)")
        cursor.execute("INSERT INTO commits SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM commits)")
        cursor.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        cursor.execute(f"PRAGMA user_version = {FILE_VERSION}")
        cursor.execute("COMMIT")


def _value(db: sqlite3.Connection, statement: str) -> int:
    return db.execute(statement).fetchone()[0]
