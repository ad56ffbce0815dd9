"""How a dockrion process logs: JSON lines, or for a person at a terminal readable ones, in colours.

Each line has `timestamp`, `level`, `event`, `agent`, `request_id`, `run_id` and `trace_id` (null where there is
none), then `logger`, the record's own fields, and `exception`. The ids are there in whatever is logged inside
a run, by the agent's own code too: they come from the run's context, when a line is written and not before.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from dockrion.events.context import get_current_context
from dockrion.events.jsonable import encode, plain
from dockrion.policy.redaction import RedactionRules
from dockrion.policy.values import redact_value
from dockrion.runs.log import Clock
from dockrion.runtime.logfile import LogFile
from dockrion.spec import DockSpec, Hider, process_setting

logger = logging.getLogger(__name__)
# What Python tells of the agent's code; warnings are `py.warnings`.
_python = logging.getLogger("py.exceptions")

_IDS: Final = ("request_id", "run_id", "trace_id")
# What no secret can be in, and what a line is laid out by.
_OURS: Final = frozenset({"timestamp", "level"})
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's copy of the message
}
# What would end a line or steer a terminal.
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOURS: Final = {"debug": "2", "info": "32", "warn": "33", "error": "31", "critical": "1;31"}


class AccessLine(msgspec.Struct, kw_only=True, gc=False):
    """The line of one invocation, in the order of its fields."""

    timestamp: str
    level: str = "info"
    event: str = "request"
    agent: str
    request_id: str
    run_id: str | None
    trace_id: str | None = None
    logger: str
    method: str
    path: str
    status: int
    duration_seconds: float
    code: str | msgspec.UnsetType = msgspec.UNSET


def configure_logging(
    *, verbose: bool = False, reported: tuple[str, ...] = (), for_people: bool = False
) -> None:
    """Send the records of this process to standard error; `verbose` lets dockrion's debug ones through.

    `reported` are loggers whose exceptions the process reports by itself: those records are left out. With
    `for_people` lines are readable outside a terminal too: what a command says, which is no server.
    """
    handler = LogHandler(sys.stderr, for_people=for_people)
    handler.addFilter(lambda record: not (record.exc_info and record.name.startswith(reported)))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("dockrion").setLevel(logging.DEBUG if verbose else logging.NOTSET)
    # uvicorn tells each step of its start and stop, watchfiles each change, httpx2 each request to an issuer of
    # tokens; what matters of that, dockrion says itself.
    logging.getLogger("uvicorn.error").setLevel(logging.INFO if verbose else logging.WARNING)
    for name in ("httpx2", "watchfiles"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Python's own ways to tell write to standard error past every handler.
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_end_of_thread
    sys.unraisablehook = _log_unraisable


def log_as(spec: DockSpec) -> None:
    """Log from the Dockfile's level on, under its agent's name, without its secrets and what its rules redact.

    Only where `configure_logging` was called.
    """
    safety = spec.policies.safety
    rules = RedactionRules(safety.redact_patterns) if safety and safety.redact_patterns else None
    for handler in _own_handlers():
        handler.agent = spec.agent.name
        handler.hide(spec.secret_values)
        handler.rules = rules
        # A command line that asked for everything gets everything.
        if logging.getLogger("dockrion").level == logging.NOTSET:
            level = spec.observability.log_level
            logging.getLogger().setLevel({"warn": "WARNING"}.get(level, level.upper()))


def keep_log(path: Path) -> None:
    """Write what is logged into a file, too; one that cannot be written is a warning.

    Only where `configure_logging` was called.
    """
    for handler in _own_handlers():
        if handler.file is not None:
            if handler.file.path == path:
                continue
            handler.file.close()
        try:
            handler.file = LogFile(path)
        except OSError as exc:
            reason = exc.strerror or str(exc)
            logger.warning(
                "log file cannot be written", extra={"file": str(path), "reason": reason}
            )


def _log_end_of_thread(args: threading.ExceptHookArgs, /) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        name = None if args.thread is None else args.thread.name
        _python.error("thread raised", exc_info=args.exc_value, extra={"in_thread": name})


def _log_unraisable(args: sys.UnraisableHookArgs, /) -> None:
    if args.exc_value is not None:
        name = getattr(args.object, "__qualname__", type(args.object).__name__)
        _python.error("exception is ignored", exc_info=args.exc_value, extra={"raised_in": name})


def _own_handlers() -> list[LogHandler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LogHandler)]


class LogHandler(logging.Handler):
    """Writes to `stream`, as JSON lines unless it is a terminal, and to `file`, always as JSON lines."""

    def __init__(self, stream: TextIO, *, for_people: bool = False) -> None:
        super().__init__()
        self.agent: str | None = None
        self.file: LogFile | None = None
        self._stream = stream
        self._clock = Clock()
        terminal = stream.isatty()
        self._readable = terminal or for_people
        self._colours = terminal and not (
            process_setting("NO_COLOR") or process_setting("TERM") == "dumb"
        )
        self._secrets = Hider()
        self.rules: RedactionRules | None = None

    def hide(self, secrets: Iterable[str]) -> None:
        self._secrets.add(secrets)

    def emit(self, record: logging.LogRecord) -> None:
        fields = self._fields(record)
        self._write(
            b"%b\n" % json_line(fields) if self._writes_json else b"",
            readable(fields, colours=self._colours) if self._readable else "",
        )

    def write_access(self, lines: Sequence[AccessLine]) -> None:
        """Write many lines at once."""
        text = ""
        if self._readable:
            text = "".join(
                readable(msgspec.to_builtins(line), colours=self._colours) for line in lines
            )
        data = _encoder.encode_lines(lines) if self._writes_json else b""
        self.acquire()
        try:
            self._write(data, text)
        finally:
            self.release()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
        super().close()

    @property
    def _writes_json(self) -> bool:
        return self.file is not None or not self._readable

    def _write(self, data: bytes, text: str) -> None:
        if self.file is not None and not self.file.write(data):
            file, self.file = self.file, None
            logger.warning("log file cannot be written any more", extra={"file": str(file.path)})
        # Where standard error is gone there is nobody to tell.
        with suppress(OSError, ValueError):
            self._stream.write(text if self._readable else data.decode())
            self._stream.flush()

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        context = get_current_context()
        fields: dict[str, Any] = {
            "timestamp": self._clock.text_of(record.created),
            "level": level_word(record.levelno),
            "event": _message(record),
            "agent": self.agent,
            "request_id": None if context is None else context.request_id,
            "run_id": None if context is None else context.run_id,
            "trace_id": None if context is None else context.trace_id,
        }
        # Ids that the agent's own code gives may be anything.
        ours = record.name.partition(".")[0] == "dockrion"
        for name in _IDS:
            if given.get(name) is not None:
                value = given.pop(name)
                fields[name] = value if ours else self._shown("", value)
        fields["logger"] = record.name
        for given_name, value in given.items():
            name = self._shown("", given_name)
            # A field of the agent's own never takes the place of ours.
            fields[f"{name}_" if name in fields else name] = value
        exception = _exception(record)
        if exception:
            fields["exception"] = exception
        plain_fields: dict[str, Any] = plain(fields)
        return {
            name: value if name in _OURS else self._shown(name, value)
            for name, value in plain_fields.items()
        }

    def _shown(self, name: str, value: Any) -> Any:
        value = self._secrets.hide_in(value)
        # Ids are not redacted anywhere: they are what a reader finds a run by.
        if self.rules is None or name in _IDS:
            return value
        return redact_value(value, self.rules.redact)


def level_word(number: int) -> str:
    """Return the Dockfile's word for a level; one in between counts as the one below."""
    for least, word in ((50, "critical"), (40, "error"), (30, "warn"), (20, "info")):
        if number >= least:
            return word
    return "debug"


def json_line(fields: Mapping[str, Any]) -> bytes:
    """Return one line of JSON, for whatever takes line ends to be: JSON alone escapes only those of ASCII."""
    line = encode(fields)
    if not line.isascii():
        for separator in ("\x85", "\u2028", "\u2029"):
            line = line.replace(separator.encode(), b"\\u%04x" % ord(separator))
    return line


def readable(fields: Mapping[str, Any], *, colours: bool) -> str:
    """Return a line for a person, with what is null left out, then the lines of a traceback, if any."""
    shown = {name: value for name, value in fields.items() if value is not None}
    level, event = shown.pop("level"), _visible(str(shown.pop("event")))
    clock = time.strftime("%H:%M:%S")
    traceback = str(shown.pop("exception", ""))
    for name in ("timestamp", "agent", "logger"):
        shown.pop(name, None)
    details = " ".join(f"{_visible(name)}={_visible(str(value))}" for name, value in shown.items())
    if colours:
        colour = _COLOURS[level]
        clock, details = f"\x1b[2m{clock}\x1b[0m", f"\x1b[2m{details}\x1b[0m" if details else ""
        head = f"{clock} \x1b[{colour}m{level:<5}\x1b[0m {event}"
    else:
        head = f"{clock} {level:<5} {event}"
    lines = [f"{head}  {details}" if details else head]
    # Indented, so that no text of an exception passes for a line of its own.
    lines += [f"    {_visible(line)}" for line in traceback.split("\n") if line]
    return "\n".join(lines) + "\n"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as exc:  # arguments that do not fit, or whose `__str__` raises
        return f"{record.msg!r} cannot be formatted: {type(exc).__name__}"


def _exception(record: logging.LogRecord) -> str | None:
    parts: list[str] = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts) or None


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


_encoder: Final = msgspec.json.Encoder()
