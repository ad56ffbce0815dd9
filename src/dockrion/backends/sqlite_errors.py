"""What SQLite's errors mean for an operator, and for callers, who are told no paths."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Final

from dockrion.backends.base import BackendError
from dockrion.errors import DockrionError, ValidationError

logger = logging.getLogger(__name__)

# By the names of SQLite's result codes; a longer name is a special case of its beginning.
_MEANINGS: Final = {
    "SQLITE_BUSY": "is locked by another program for too long",
    "SQLITE_LOCKED": "is locked by another program for too long",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_READONLY": "cannot be written: it, or its folder, is read-only",
    "SQLITE_PERM": "cannot be written: it, or its folder, is read-only",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_NOTADB": "is no SQLite database, or is damaged",
    "SQLITE_CANTOPEN": "cannot be opened",
    "SQLITE_IOERR": "cannot be read or written: the disk has failed, or is full",
}
# What does not change unless somebody changes it.
_LASTING: Final = ("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_NOTADB", "SQLITE_CANTOPEN")


def is_busy(error: sqlite3.Error) -> bool:
    return _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def error_at_open(error: sqlite3.Error, path: Path, field: str) -> DockrionError:
    """Return what stops a start, with the path and the field that names it."""
    name = _name(error)
    message = f"{field}: {str(path)!r} {_meaning(error)}"
    if name.startswith("SQLITE_CORRUPT"):
        message += "; restore it from a backup, or move it away and start with a new one"
    if name.startswith(_LASTING):
        return ValidationError(f"{message}; name a file that this process may write")
    return BackendError(message)


def error_in_use(error: sqlite3.Error, path: Path) -> BackendError:
    """Return what a caller is told; the log has the rest."""
    logger.error(
        "database failed",
        extra={"path": str(path), "code": _name(error), "error": str(error)},
    )
    return BackendError(f"The database file {_meaning(error)}.")


def _meaning(error: sqlite3.Error) -> str:
    name = _name(error)
    for prefix, meaning in _MEANINGS.items():
        if name.startswith(prefix):
            return meaning
    return f"does not do what it is asked ({name or type(error).__name__})"


def _name(error: sqlite3.Error) -> str:
    # Errors that do not come from SQLite itself, such as those of a closed connection, have none.
    return getattr(error, "sqlite_errorname", "")
