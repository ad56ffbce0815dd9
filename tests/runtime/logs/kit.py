"""What the tests of logs share."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

from dockrion.runtime.logs import LogHandler
from dockrion.spec import DockSpec
from dockrion.testing import app_for

ALWAYS = ["timestamp", "level", "event", "agent", "request_id", "run_id", "trace_id"]

log = logging.getLogger("tests.agent")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Logged:
    """A handler of ours on the root logger, and what it has written."""

    def __init__(self, stream: io.StringIO) -> None:
        self.stream = stream
        self.handler = LogHandler(stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


def spec_with(**observability: Any) -> DockSpec:
    return app_for(lambda payload: payload, observability=observability).state.dockrion.spec
