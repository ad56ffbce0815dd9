"""More callers than the system has open files for."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

from .rawhttp import Connection, request
from .server import DOCKRION_RUN, Server

if TYPE_CHECKING:
    from pathlib import Path

# The agent opens files of its own, as those do that call a model.
AGENT = """\
async def handle(payload):
    files = [open(__file__) for _ in range(20)]
    for file in files:
        file.close()
    return {"opened": len(files)}
"""
FILES = 200


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit of open files")
def test_idle_callers_cannot_take_the_files_that_the_agent_needs(tmp_path: Path) -> None:
    limited = ("bash", "-c", f'ulimit -n {FILES}; exec "$0" "$@"', *DOCKRION_RUN)
    server = Server(tmp_path, AGENT, handler="handle", sections={}, command=limited)
    idle: list[Connection] = []
    try:
        first = Connection(server.port)
        for _ in range(FILES):
            idle.append(Connection(server.port))
        last = idle[-1].head()
        assert last.status == 503
        assert last.values(b"retry-after")

        first.send(request("POST", "/invoke", {}))
        head = first.head()
        assert head.status == 200, first.body(head)
        first.close()
    finally:
        for connection in idle:
            connection.close()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "Too many open files" not in server.log
