"""Owns what the kernel says about a process and all its children: CPU seconds and resident memory."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of the tree, children that have ended and were waited for included."""
    return sum(_ticks(member) for member in _tree(pid)) / _TICKS


def resident_kb(pid: int) -> int:
    return sum(_resident(member) for member in _tree(pid))


def _tree(pid: int) -> list[int]:
    members = [pid]
    for member in members:  # grows while it is walked
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{member}/task").iterdir():
                members += map(int, (task / "children").read_text().split())
    return members


def _ticks(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        # The name of the program may hold spaces; it ends at the last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def _resident(pid: int) -> int:
    # `statm` would be cheaper, but the kernel keeps it per core and is off by some hundred KB.
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                return int(line.split()[1])
    return 0
