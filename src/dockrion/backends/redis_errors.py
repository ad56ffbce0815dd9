"""What Redis and the way to it raise, as sentences for callers: no host, no URL, and what to do."""

from __future__ import annotations

import re
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
)

from dockrion.backends.base import BackendError

GONE: Final = "Redis cannot be reached."
SILENT: Final = "Redis does not answer in time."
FORBIDDEN: Final = "Redis refuses:"
REFUSED: Final = "Redis refuses the user or the password."
READ_ONLY: Final = "This Redis is a replica, which cannot be written to; the primary is needed."

_BY_CLASS: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (BusyLoadingError, "Redis is still loading its data; try again."),
    (AuthenticationError, REFUSED),
    (ReadOnlyError, READ_ONLY),
    (
        OutOfMemoryError,
        "Redis is full: it has reached its maxmemory, which must be raised, or less must be kept in it.",
    ),
    (ConnectionError, GONE),
)
# Of errors inside scripts, older servers put the code somewhere into the text.
_BY_CODE: Final = (
    ("OOM", _BY_CLASS[3][1]),
    ("READONLY", READ_ONLY),
    (
        "MISCONF",
        "Redis takes no writes, because it cannot save its data to disk; its log says why.",
    ),
    ("BUSY", "Redis is busy with a script; try again."),
    ("MASTERDOWN", "This Redis is a replica that has lost its primary."),
    ("CLUSTERDOWN", "Redis is a cluster, which is not supported."),
    ("MOVED", "Redis is a cluster, which is not supported."),
    ("NOREPLICAS", "Redis takes no writes, because it has too few replicas."),
)
_FORBIDDEN: Final = re.compile(
    r"no permissions? to (?:run the '(?P<command>[^']+)' command|access .*? (?P<what>keys?|channels?))"
)
_OLD_FORBIDDEN: Final = "can't run this command"


def lost(exc: BaseException) -> bool:
    """Whether it says that the way to Redis is broken, and not what Redis said."""
    exc = _unwrapped(exc)
    if isinstance(exc, AuthenticationError | BusyLoadingError):
        return False
    return isinstance(exc, ConnectionError | OSError)


def refusal(exc: BaseException) -> str | None:
    """Return why Redis does not let this user do what is needed, if that is what `exc` says."""
    text = str(exc)
    if (
        not isinstance(exc, NoPermissionError)
        and "NOPERM" not in text
        and _OLD_FORBIDDEN not in text
    ):
        return None
    found = _FORBIDDEN.search(text)
    if found is None:
        return "the user may not run a command that is needed"
    if found["command"]:
        return f"the user may not run {found['command'].upper().replace('|', ' ')}"
    return f"the user may not use the {found['what'].rstrip('s')}s that are needed"


def as_backend_error(exc: BaseException) -> BackendError:
    """Return the error that callers get for what a connection raised or Redis answered."""
    if isinstance(exc, BackendError):
        return exc
    return BackendError(_sentence(_unwrapped(exc)))


def _unwrapped(exc: BaseException) -> BaseException:
    """Return what Redis said while a connection was made, which redis-py takes for a connection that failed."""
    cause = exc.__cause__
    if type(exc) is ConnectionError and isinstance(cause, RedisError):
        return cause
    return exc


def _sentence(exc: BaseException) -> str:
    for cls, sentence in _BY_CLASS:
        if isinstance(exc, cls):
            return sentence
    text = str(exc)
    for code, sentence in _BY_CODE:
        if re.search(rf"\b{code}\b", text):
            return sentence
    why = refusal(exc)
    if why is not None:
        return f"{FORBIDDEN} {why}."
    if isinstance(exc, TimeoutError) or type(exc).__name__ == "TimeoutError":
        return SILENT
    if isinstance(exc, OSError):
        return GONE
    return "Redis cannot do what it is asked for; the log says why."
