"""What the machine gives a server: room for its log, and files that it may have open."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from dockrion.doctor.base import Case, Finding, info, ok, warning
from dockrion.runtime.logfile import log_path
from dockrion.runtime.sockets import connections_within

# A server that streams has one open file for each caller.
_FEW_FILES: Final = 4096


async def look_at_log(case: Case) -> list[Finding]:
    path = log_path(case.spec.folder, case.spec.agent.name)
    reason = why_unwritable(path)
    if reason is None:
        return [ok(f"{path} can be written")]
    return [
        warning(
            f"{path} cannot be written: {reason}",
            "the server runs without its log file; `dockrion logs` has nothing to show then",
        )
    ]


def why_unwritable(path: Path) -> str | None:
    """Return why a file cannot be made or written, with the folders that it needs; nothing is made."""
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return None if os.access(path, os.R_OK | os.W_OK) else "this user may not write it"
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"{folder} is read-only for this user"


async def look_at_open_files(_: Case) -> list[Finding]:
    if sys.platform == "win32":
        return [info("Windows has no limit to look at")]
    import resource

    # A server raises its limit to what is allowed.
    _soft, allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return [ok("no limit")]
    callers = connections_within(allowed)
    if allowed < _FEW_FILES:
        return [
            warning(
                f"{allowed} at most, so {callers} callers at once",
                "raise it: ulimit -Hn, LimitNOFILE= of systemd, ulimits.nofile of compose",
            )
        ]
    return [ok(f"{allowed} at most: {callers} callers at once")]
