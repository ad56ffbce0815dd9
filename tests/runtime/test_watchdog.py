from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import pytest

from dockrion.runtime.watchdog import _culprit
from dockrion.testing import app_for, post, request, running

LINE_OF_THE_BLOCK = "while not noticed.wait(0.01)"


async def test_code_that_blocks_the_loop_is_named_by_file_and_line() -> None:
    noticed = threading.Event()
    records: list[logging.LogRecord] = []

    class Notice(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)
            noticed.set()

    async def agent(payload: Any) -> dict[str, Any]:
        give_up = time.monotonic() + 10
        while not noticed.wait(0.01) and time.monotonic() < give_up:
            pass
        return {}

    handler = Notice()
    watchdog_logger = logging.getLogger("dockrion.runtime.watchdog")
    watchdog_logger.addHandler(handler)
    try:
        app = app_for(agent, expose={"limits": {"block_warning_ms": 30}})
        with anyio.fail_after(20):
            async with running(app) as live:
                async with post(live, "/invoke", {}) as exchange:
                    await exchange.read()
                async with request(live, "GET", "/metrics") as exchange:
                    metrics = (await exchange.read()).decode()
    finally:
        watchdog_logger.removeHandler(handler)
    assert "\ndockrion_loop_blocks_total 1.0\n" in metrics
    [record] = records
    fields = vars(record)
    assert fields["file"] == __file__
    assert LINE_OF_THE_BLOCK in Path(__file__).read_text().splitlines()[fields["line"] - 1]
    assert fields["function"].endswith("agent")
    assert fields["limit_ms"] == 30


async def test_an_agent_that_waits_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    async def agent(payload: Any) -> dict[str, Any]:
        await asyncio.sleep(0.15)
        return {}

    app = app_for(agent, expose={"limits": {"block_warning_ms": 30}})
    async with running(app) as live, post(live, "/invoke", {}) as exchange:
        await exchange.read()
    named = [r.__dict__ for r in caplog.records if r.name == "dockrion.runtime.watchdog"]
    assert [(r["file"], r["line"]) for r in named] == []


def test_what_only_the_server_does_is_nobodys_fault() -> None:
    frames: list[FrameType] = []
    namespace: dict[str, Any] = {"frames": frames, "sys": sys}
    import dockrion

    source = "def inner():\n    frames.append(sys._getframe())\n"
    exec(compile(source, str(dockrion.__file__), "exec"), namespace)
    thread = threading.Thread(target=namespace["inner"])
    thread.start()
    thread.join()
    assert _culprit(frames[0], set()) is None
