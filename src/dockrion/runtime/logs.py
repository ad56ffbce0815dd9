"""How a dockrion process logs: one line a record on standard error, with the record's own fields."""

from __future__ import annotations

import logging

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(*, verbose: bool = False, reported: tuple[str, ...] = ()) -> None:
    """Send the records of this process to standard error; `verbose` lets dockrion's debug ones through.

    `reported` are loggers whose exceptions the process reports by itself: those records are left out.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    handler.addFilter(lambda record: not (record.exc_info and record.name.startswith(reported)))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("dockrion").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    # uvicorn tells each step of its start and stop, watchfiles each change; what matters of that, dockrion says
    # itself.
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def apply_log_level(level: str) -> None:
    """Log from `level` (`debug`, `info`, `warn`, `error`) on, unless the command line asked for everything."""
    if logging.getLogger("dockrion").level == logging.NOTSET:
        logging.getLogger().setLevel({"warn": "WARNING"}.get(level, level.upper()))


class LineFormatter(logging.Formatter):
    """`2025-01-31 12:00:00 WARNING dockrion.runs: the message run_id=... events=3`, then a traceback, if any."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%d %H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (logging's name)
        own = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        own.pop("color_message", None)  # uvicorn's copy of the message
        return " ".join([super().formatMessage(record), *(f"{k}={v}" for k, v in own.items())])
