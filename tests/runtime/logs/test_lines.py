"""What a process logs: JSON lines with the ids of the run, or readable ones that nobody can forge."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from dockrion.events.context import StreamContext, get_current_context
from dockrion.policy.redaction import RedactionRules
from dockrion.runtime import logfile
from dockrion.runtime.logfile import LogFile, log_path
from dockrion.runtime.logs import (
    LogHandler,
    configure_logging,
    json_line,
    keep_log,
    level_word,
    log_as,
    readable,
)
from dockrion.spec import DockSpec
from dockrion.testing import app_for, post, running

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


@pytest.fixture
def logged_to() -> Generator[Callable[[io.StringIO], Logged]]:
    root = logging.getLogger()
    before = root.level
    made: list[Logged] = []

    def install(stream: io.StringIO) -> Logged:
        logged = Logged(stream)
        made.append(logged)
        root.addHandler(logged.handler)
        root.setLevel(logging.INFO)
        return logged

    yield install
    for logged in made:
        root.removeHandler(logged.handler)
        logged.handler.close()
    root.setLevel(before)


@pytest.fixture
def logged(logged_to: Callable[[io.StringIO], Logged]) -> Logged:
    return logged_to(io.StringIO())


@pytest.fixture
def root_restored() -> Generator[None]:
    """For tests that configure logging as a process does."""
    root, own = logging.getLogger(), logging.getLogger("dockrion")
    uvicorn = logging.getLogger("uvicorn.error")
    before = root.handlers[:], root.level, own.level, uvicorn.level
    hooks = threading.excepthook, sys.unraisablehook
    root.handlers[:] = []
    yield
    logging.captureWarnings(capture=False)
    threading.excepthook, sys.unraisablehook = hooks
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, own.level, uvicorn.level = before
    root.setLevel(before[1])


def spec_with(**observability: Any) -> DockSpec:
    return app_for(lambda payload: payload, observability=observability).state.dockrion.spec


# JSON lines


def test_a_line_has_the_contracts_fields_first_then_the_records_own(logged: Logged) -> None:
    logged.handler.agent = "speller"

    log.warning("output is invalid", extra={"events": 3, "pointers": ["/a"]})

    [line] = logged.lines
    assert list(line) == [*ALWAYS, "logger", "events", "pointers"]
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"], line["agent"]) == ("warn", "output is invalid", "speller")
    assert line["request_id"] is line["run_id"] is line["trace_id"] is None
    assert (line["events"], line["pointers"]) == (3, ["/a"])


def test_ids_that_a_record_brings_stand_in_their_place(logged: Logged) -> None:
    log.info("x", extra={"run_id": "r-1", "trace_id": "t-1"})

    [line] = logged.lines
    assert list(line) == [*ALWAYS, "logger"]
    assert (line["run_id"], line["trace_id"]) == ("r-1", "t-1")


def test_a_field_of_the_agents_own_never_takes_the_place_of_ours(logged: Logged) -> None:
    log.info("real", extra={"event": "forged", "level": "error", "agent": "other"})

    [line] = logged.lines
    assert (line["event"], line["level"], line["agent"]) == ("real", "info", None)
    assert (line["event_"], line["level_"], line["agent_"]) == ("forged", "error", "other")


def test_an_exception_is_a_field_of_its_line(logged: Logged) -> None:
    try:
        raise ValueError("of the\nagent")
    except ValueError:
        log.exception("agent raised")

    [line] = logged.lines
    assert line["level"] == "error"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: of the\nagent")


@pytest.mark.parametrize(
    "separator", ["\n", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]
)
def test_no_text_starts_a_line_of_its_own(logged: Logged, separator: str) -> None:
    forged = f'x{separator}{{"event":"forged"}}'

    log.warning("%s", forged, extra={"field": forged, forged: forged})

    [line] = logged.text.splitlines()
    assert json.loads(line)["event"] == json.loads(line)["field"] == forged


def test_any_value_can_be_logged(logged: Logged) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)

    log.warning("odd", extra={"a": object, "b": float("nan"), "c": "\ud800", "d": cycle, "e": b"x"})

    [line] = logged.lines
    assert line["b"] is None
    assert line["c"] == "\ufffd"


@pytest.mark.parametrize(
    ("number", "word"),
    [(5, "debug"), (10, "debug"), (20, "info"), (25, "info"), (30, "warn"), (40, "error"), (50, "critical")],
)  # fmt: skip
def test_levels_have_the_dockfiles_words(number: int, word: str) -> None:
    assert level_word(number) == word


def test_secrets_are_replaced_wherever_they_stand(logged: Logged) -> None:
    logged.handler.hide(["s3cr3t", "s3cr3t-and-more", "abc"])
    try:
        raise ValueError("key s3cr3t")
    except ValueError:
        log.exception("s3cr3t-and-more abc", extra={"n": {"s3cr3t": ["s3cr3t", Path("/s3cr3t")]}})

    [line] = logged.lines
    assert "s3cr3t" not in logged.text
    # Three letters hide nothing: they would be in half of all words.
    assert line["event"] == "*** abc"
    assert line["n"] == {"***": ["***", "/***"]}
    assert line["exception"].endswith("ValueError: key ***")


def test_the_names_of_a_records_own_fields_are_hidden_and_redacted_too(logged: Logged) -> None:
    logged.handler.hide(["s3cr3t"])
    logged.handler.rules = RedactionRules([r"\w+@\w+"])
    log.info("hello", extra={"s3cr3t": 1, "a@b": 2})

    [line] = logged.lines
    assert (line["***"], line["[REDACTED]"]) == (1, 2)
    assert "s3cr3t" not in logged.text
    assert "a@b" not in logged.text


def test_a_secret_of_many_lines_is_in_no_traceback_and_no_file(
    logged_to: Callable[[io.StringIO], Logged], tmp_path: Path
) -> None:
    logged = logged_to(Terminal())
    logged.handler.hide(["first-line-of-it\nsecond-line-of-it"])
    logged.handler.file = LogFile(tmp_path / "a.log")
    try:
        try:
            raise KeyError("first-line-of-it\nsecond-line-of-it")
        except KeyError as exc:
            raise ExceptionGroup("first-line-of-it\nsecond-line-of-it", [exc]) from exc
    except ExceptionGroup:
        logging.getLogger("uvicorn.error").exception("first-line-of-it\nsecond-line-of-it")

    for text in (logged.text, (tmp_path / "a.log").read_text()):
        assert "***" in text
        assert "line-of-it" not in text


def test_a_secret_that_is_a_number_or_a_word_of_ours_is_replaced_too(
    logged_to: Callable[[io.StringIO], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    logged = logged_to(Terminal())
    logged.handler.hide(["info", "48151623"])

    log.info("info", extra={"pin": 48151623, "on": True})

    assert logged.text.endswith(" info  ***  pin=*** on=True\n")


def test_a_message_that_cannot_be_formatted_is_told_without_its_arguments(
    logged: Logged, capsys: pytest.CaptureFixture[str]
) -> None:
    # Past pytest's own handler, which raises.
    record = logging.LogRecord("tests.agent", 30, "", 0, "%d of %d", ("s3cr3t",), None)
    logged.handler.handle(record)

    [line] = logged.lines
    assert line["event"] == "'%d of %d' cannot be formatted: TypeError"
    assert capsys.readouterr().err == ""


# The ids of the run


async def test_whatever_is_logged_inside_a_run_has_its_ids(logged: Logged) -> None:
    async def agent(payload: Any, context: StreamContext) -> Any:
        log.warning("in the agent")

        async def in_task() -> None:
            log.warning("in a task")

        await asyncio.create_task(in_task())
        await asyncio.to_thread(log.warning, "in a thread")
        thread = threading.Thread(target=context.bind(log.warning), args=("in another",))
        thread.start()
        thread.join()
        raise ValueError("bad")

    async with running(app_for(agent)) as app:
        headers = {"x-request-id": "req-1", "x-run-id": "run-1"}
        async with post(app, "/invoke", {}, headers=headers) as exchange:
            await exchange.read()

    events = ("in the agent", "in a task", "in a thread", "in another", "agent raised")
    for event in events:
        [line] = logged.of(event)
        assert (line["request_id"], line["run_id"]) == ("req-1", "run-1"), event
    assert get_current_context() is None


async def test_a_sync_agent_and_the_check_of_its_output_have_the_ids_too(logged: Logged) -> None:
    def agent(payload: Any) -> Any:
        log.warning("in the agent")
        return {"n": "text"}

    schema = {"output": {"properties": {"n": {"type": "integer"}}}}
    async with running(app_for(agent, io_schema=schema)) as app:
        headers = {"x-request-id": "req-1", "x-run-id": "run-1"}
        async with post(app, "/invoke/stream", {}, headers=headers) as exchange:
            await exchange.read()

    for event in ("in the agent", "output does not fit io_schema.output"):
        [line] = logged.of(event)
        assert (line["request_id"], line["run_id"]) == ("req-1", "run-1"), event


# Access lines


async def test_each_invocation_has_one_access_line(logged: Logged) -> None:
    async def agent(payload: Any) -> Any:
        if payload.get("fails"):
            raise ValueError("secret of the payload")
        return payload

    async with running(app_for(agent)) as app:
        for path, body in (
            ("/invoke?run_id=one", {"query": "do not log me"}),
            ("/invoke/stream", {"fails": 1}),
            ("/invoke", b"{"),
        ):
            headers = {"x-request-id": f"req-{path[:7]}", "authorization": "Bearer do not log me"}
            async with post(app, path, body, headers=headers) as exchange:
                await exchange.read()

    good, failed, refused = logged.of("request")
    assert list(good) == [*ALWAYS, "logger", "method", "path", "status", "duration_seconds"]
    assert (good["level"], good["agent"], good["run_id"]) == ("info", "test", "one")
    assert (good["method"], good["path"], good["status"]) == ("POST", "/invoke", 200)
    assert 0 < good["duration_seconds"] < 5
    assert (failed["path"], failed["status"]) == ("/invoke/stream", 500)
    assert failed["code"] == "AGENT_EXECUTION_ERROR"
    assert (refused["status"], refused["code"]) == (400, "VALIDATION_ERROR")
    assert refused["run_id"] is None
    assert "do not log me" not in logged.text


async def test_access_lines_are_off_above_info(logged: Logged) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    async with running(app_for(lambda payload: payload)) as app:
        async with post(app, "/invoke", {}) as exchange:
            await exchange.read()

    assert logged.text == ""


async def test_handlers_of_others_get_access_lines_as_records(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with running(app_for(lambda payload: payload)) as app:
        async with post(app, "/invoke?run_id=one", {}) as exchange:
            await exchange.read()

    [record] = [r for r in caplog.records if r.name == "dockrion.runtime.access"]
    assert record.getMessage() == "request"
    assert vars(record)["run_id"] == "one"
    assert vars(record)["status"] == 200


# At a terminal


def test_a_terminal_gets_readable_coloured_lines(
    logged_to: Callable[[io.StringIO], Logged], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    logged = logged_to(Terminal())

    log.warning("output is invalid", extra={"run_id": "r-1"})

    assert "\x1b[33mwarn \x1b[0m output is invalid" in logged.text
    assert "run_id=r-1" in logged.text
    assert "null" not in logged.text


@pytest.mark.parametrize(("name", "setting"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_can_be_switched_off(
    logged_to: Callable[[io.StringIO], Logged],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    setting: str,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(name, setting)
    logged = logged_to(Terminal())

    log.warning("plain", extra={"n": 1})

    assert logged.text.endswith(" warn  plain  n=1\n")
    assert "\x1b" not in logged.text


def test_no_text_moves_the_cursor_or_starts_a_line_at_a_terminal() -> None:
    forged = "x\n12:00:00 info  forged \x1b[2J\x9b\u202e"
    fields = {"level": "error", "event": forged, "n": forged, "exception": f"ValueError: {forged}"}

    head, *traceback = readable(fields, colours=False).splitlines()

    assert head.endswith("n=x\\n12:00:00 info  forged \\x1b[2J\\x9b\\u202e")
    assert all(line.startswith("    ") for line in traceback)
    assert "\x1b" not in "".join([head, *traceback])


def test_json_lines_are_not_changed_where_nothing_has_to_be() -> None:
    assert json_line({"a": "é\u2028"}) == '{"a":"é\\u2028"}'.encode()


# What a process configures


@pytest.mark.usefixtures("root_restored")
def test_the_level_is_that_of_the_dockfile_unless_everything_was_asked_for() -> None:
    configure_logging()
    log_as(spec_with(log_level="warn"))
    assert logging.getLogger().level == logging.WARNING

    configure_logging(verbose=True)
    log_as(spec_with(log_level="error"))
    assert logging.getLogger("dockrion.runs").isEnabledFor(logging.DEBUG)


@pytest.mark.usefixtures("root_restored")
def test_a_process_that_logs_its_own_way_is_left_alone(tmp_path: Path) -> None:
    root = logging.getLogger()
    root.setLevel(logging.CRITICAL)
    log_as(spec_with(log_level="debug"))
    keep_log(log_path(tmp_path, "test"))

    assert root.level == logging.CRITICAL
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("root_restored")
def test_the_log_file_has_json_lines_whatever_the_terminal_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(for_people=True)
    keep_log(log_path(tmp_path, "test"))

    log.warning("both", extra={"n": 1})

    path = tmp_path / ".dockrion_runtime" / "logs" / "test.log"
    [line] = path.read_text().splitlines()
    assert json.loads(line)["event"] == "both"
    assert capsys.readouterr().err.endswith("warn  both  n=1\n")


@pytest.mark.usefixtures("root_restored")
def test_a_folder_that_cannot_be_written_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".dockrion_runtime").write_text("in the way")
    configure_logging()
    keep_log(log_path(tmp_path, "test"))
    log.warning("still here")

    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"] == "log file cannot be written"
    assert first["file"].endswith("test.log")
    assert first["reason"]
    assert second["event"] == "still here"


@pytest.mark.usefixtures("root_restored")
def test_what_python_tells_by_itself_is_logged_and_hides_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Closing:
        def __del__(self) -> None:
            raise ValueError("s3cr3t-value in a finalizer")

    def in_thread() -> None:
        raise ValueError("s3cr3t-value in a thread")

    configure_logging()
    for handler in logging.getLogger().handlers:
        assert isinstance(handler, LogHandler)
        handler.hide(["s3cr3t-value"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # As it is outside of pytest, which keeps warnings for itself.
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("s3cr3t-value is old", stacklevel=1)
        logging.captureWarnings(capture=False)
    thread = threading.Thread(target=in_thread, name="of-the-agent")
    thread.start()
    thread.join()
    del_me = Closing()
    del del_me
    gc.collect()

    warning, raised, ignored = map(json.loads, capsys.readouterr().err.splitlines())
    assert (warning["logger"], warning["level"]) == ("py.warnings", "warn")
    assert "UserWarning: *** is old" in warning["event"]
    assert (raised["event"], raised["in_thread"]) == ("thread raised", "of-the-agent")
    assert raised["exception"].endswith("ValueError: *** in a thread")
    assert ignored["event"] == "exception is ignored"
    assert ignored["raised_in"].endswith("Closing.__del__")


# The file


def test_a_full_file_moves_on_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10)
    monkeypatch.setattr(logfile, "OLD_FILES", 2)
    file = LogFile(tmp_path / "logs" / "a.log")
    for number in range(8):
        assert file.write(b"line%d\n" % number)
    file.close()

    texts = {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()}
    assert texts == {"a.log": "line7\n", "a.log.1": "line6\n", "a.log.2": "line5\n"}


def test_a_line_longer_than_the_limit_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 10)
    file = LogFile(tmp_path / "a.log")
    assert file.write(b"x" * 50)
    file.close()

    assert (tmp_path / "a.log").read_bytes() == b"x" * 50


def test_writers_of_one_file_lose_nothing_when_it_moves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logfile, "MAX_BYTES", 40)
    monkeypatch.setattr(logfile, "OLD_FILES", 50)
    files = [LogFile(tmp_path / "a.log") for _ in range(2)]
    for number in range(40):
        assert files[number % 2].write(b"line %02d\n" % number)
    for file in files:
        file.close()

    lines = sorted(line for path in tmp_path.iterdir() for line in path.read_text().splitlines())
    assert lines == [f"line {number:02d}" for number in range(40)]
    assert all(path.stat().st_size <= 40 for path in tmp_path.iterdir())


def test_a_file_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.log"
    file = LogFile(path)
    assert file.write(b"one\n")
    path.unlink()
    path.parent.rmdir()
    assert file.write(b"two\n")
    file.close()

    assert path.read_bytes() == b"two\n"


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    LogFile(tmp_path / "a.log").close()

    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("root_restored")
def test_a_file_that_cannot_be_written_any_more_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging()
    keep_log(log_path(tmp_path, "test"))
    folder = tmp_path / ".dockrion_runtime"
    (folder / "logs" / "test.log").unlink()
    (folder / "logs").rmdir()
    (folder / "logs").write_text("in the way")

    log.warning("one")
    log.warning("two")

    events = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert events == ["log file cannot be written any more", "one", "two"]
