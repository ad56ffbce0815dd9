"""Log lines carry the fields of their record."""

from __future__ import annotations

import logging
import sys

from dockrion.runtime.logs import LineFormatter


def record(message: str, **extra: object) -> logging.LogRecord:
    logger = logging.getLogger("dockrion.runs")
    return logger.makeRecord(
        logger.name, logging.WARNING, "file.py", 1, message, (), None, extra=extra
    )


def test_a_line_has_level_logger_message_and_the_records_own_fields() -> None:
    line = LineFormatter().format(record("output is invalid", run_id="r-1", events=3))

    assert line.endswith("WARNING dockrion.runs: output is invalid run_id=r-1 events=3")


def test_a_traceback_follows_the_line() -> None:
    one = record("agent raised", run_id="r-1")
    try:
        raise ValueError("of the agent")
    except ValueError:
        one.exc_info = sys.exc_info()

    first, *rest = LineFormatter().format(one).splitlines()

    assert first.endswith("agent raised run_id=r-1")
    assert rest[-1] == "ValueError: of the agent"
