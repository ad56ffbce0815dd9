"""Access lines: one log line for each invocation, when it has been answered, and for each message of a WebSocket that is
refused.

A log record for each costs more than the rest of a short request's way out. So they are made of the tallies,
many at once, and where the process logs through dockrion's own handler they skip the record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from dockrion.runs.log import Clock
from dockrion.runtime.logs import AccessLine, LogHandler
from dockrion.runtime.traffic import SOCKET_PATH, Call, Tally

logger = logging.getLogger(__name__)


class AccessLog:
    """A sink of an app's traffic; silent where the level is above info."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._clock = Clock()

    def write(self, tally: Tally) -> None:
        calls = [*tally.calls, *tally.refusals] if tally.refusals else tally.calls
        if not calls or not logger.isEnabledFor(logging.INFO):
            return
        lines = [self._line(call) for call in calls]
        for handler in _handlers(logger):
            if handler.level > logging.INFO:
                continue
            if isinstance(handler, LogHandler):
                handler.write_access(lines)
            else:
                for line in lines:
                    handler.handle(_record(line))

    def _line(self, call: Call) -> AccessLine:
        return AccessLine(
            timestamp=self._clock.text_of(call.ended_at),
            agent=self._agent,
            request_id=call.request_id.decode("latin-1"),
            run_id=call.run_id,
            trace_id=call.trace_id,
            logger=logger.name,
            method="GET" if call.endpoint == SOCKET_PATH else "POST",
            path=call.endpoint,
            status=call.status,
            duration_seconds=round(call.seconds, 6),
            code=call.code or UNSET,
        )


def _handlers(source: logging.Logger) -> Iterator[logging.Handler]:
    """Yield the handlers that a record of `source` reaches."""
    current: logging.Logger | None = source
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None


def _record(line: AccessLine) -> logging.LogRecord:
    extra = msgspec.to_builtins(line)
    event = extra.pop("event")
    for name in ("timestamp", "level", "agent", "logger"):
        del extra[name]
    return logger.makeRecord(logger.name, logging.INFO, "", 0, event, (), None, extra=extra)
