"""`streaming.backend: sqlite`: the file, its folder and its disk, looked at without changing them."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

from dockrion.backends.sqlite_errors import error_at_open
from dockrion.backends.sqlite_file import APPLICATION_ID, FILE_VERSION
from dockrion.doctor.base import Case, Finding, error, info, ok, warning
from dockrion.doctor.machine import why_unwritable

_FIELD: Final = "streaming.sqlite.path"
# A check of all pages is left when it takes longer.
_CHECK_SECONDS: Final = 5.0
_LITTLE_ROOM: Final = 512 << 20
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "ceph"}
)


async def look_at_sqlite(case: Case) -> list[Finding]:
    path = case.spec.folder / case.spec.streaming.sqlite.path
    return await asyncio.to_thread(_look, path, case.spec.agent.name)


def _look(path: Path, agent: str) -> list[Finding]:
    reason = why_unwritable(path)
    if reason is None and path.exists():
        # SQLite has two more files beside it.
        reason = why_unwritable(path.with_name(f"{path.name}-wal"))
    if reason is not None:
        return [
            error(
                f"sqlite: {path} cannot be written: {reason}",
                f"give this user the folder, or name another file in {_FIELD}",
            )
        ]
    findings = list(_file(path, agent)) if path.exists() else [ok(f"sqlite: {path} will be made")]
    return [*findings, *_disk(path)]


def _file(path: Path, agent: str) -> Iterator[Finding]:
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=1.0)
        ) as db:
            yield from _contents(db, path, agent)
    except sqlite3.Error as exc:
        found = error_at_open(exc, path, _FIELD)
        yield error(f"sqlite: {found.message}", f"name a file of dockrion's own in {_FIELD}")


def _contents(db: sqlite3.Connection, path: Path, agent: str) -> Iterator[Finding]:
    if not _value(db, "SELECT count(*) FROM sqlite_master"):
        yield ok(f"sqlite: {path} is empty")
        return
    if _value(db, "PRAGMA application_id") != APPLICATION_ID:
        yield error(
            f"sqlite: {path} is the database of another program", f"name another file in {_FIELD}"
        )
        return
    written_by = _value(db, "PRAGMA user_version")
    if written_by > FILE_VERSION:
        yield error(
            f"sqlite: {path} has been written by a newer release of dockrion (format {written_by})",
            f"use that release, or name another file in {_FIELD}",
        )
        return
    owner = _owner(db)
    if owner not in (None, agent):
        yield error(
            f"sqlite: {path} holds the runs of the agent {owner!r}",
            f"name another file in {_FIELD}",
        )
        return
    verdict = _soundness(db)
    if verdict == "ok":
        yield ok(f"sqlite: {path} is sound")
    elif verdict is None:
        yield info(f"sqlite: {path} is too large to be checked whole within {_CHECK_SECONDS:g} s")
    else:
        yield error(
            f"sqlite: {path} is damaged: {verdict}",
            "restore it from a backup, or move it away and start with a new one",
        )


def _owner(db: sqlite3.Connection) -> str | None:
    if not _value(db, "SELECT count(*) FROM sqlite_master WHERE name = 'agents'"):
        return None
    row = db.execute("SELECT name FROM agents").fetchone()
    return None if row is None else str(row[0])


def _soundness(db: sqlite3.Connection) -> str | None:
    """Return what SQLite says of the file, or None when it would take too long."""
    ends = monotonic() + _CHECK_SECONDS
    db.set_progress_handler(lambda: monotonic() > ends, 10_000)
    try:
        return str(_value(db, "PRAGMA quick_check(1)")).splitlines()[0]
    except sqlite3.OperationalError as exc:
        if getattr(exc, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            return None
        raise
    finally:
        db.set_progress_handler(None, 0)


def _value(db: sqlite3.Connection, statement: str) -> Any:
    return db.execute(statement).fetchone()[0]


def _disk(path: Path) -> Iterator[Finding]:
    folder = next(parent for parent in path.parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < _LITTLE_ROOM:
        yield warning(
            f"sqlite: the disk of {folder} has {free >> 20} MiB left",
            f"make room, name a file on another disk in {_FIELD}, or lower streaming.sqlite.stream_ttl_seconds",
        )
    kind = _file_system(folder)
    if kind in _NETWORK:
        yield error(
            f"sqlite: {folder} is on a network file system ({kind}), where processes damage each other's data",
            f"name a file on a disk of this machine in {_FIELD}, or use streaming.backend: redis",
        )


def _file_system(folder: Path) -> str | None:
    """Return the kind of file system, where Linux tells."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return None
    place = folder.resolve()
    mounts = [fields for line in lines if len(fields := line.split(" ")) > 2]
    # The last that is mounted on the deepest folder is the one that is seen.
    under = [(len(point), kind) for _, point, kind, *_ in mounts if place.is_relative_to(point)]
    return max(reversed(under), key=lambda found: found[0], default=(0, None))[1]
